// Pixels that a chart has on paper.
const PAPER = 660;
const axis = { labelColor: "var(--pale)", titleColor: "var(--ink)", gridColor: "var(--line)",
  domainColor: "var(--line)", tickColor: "var(--line)", titleFontWeight: 500, labelSeparation: 8 };
const columns = (spec, width) => {
  const names = [spec, ...(spec.layer ?? [])].flatMap((x) => x.encoding?.color?.scale?.domain ?? []);
  const longest = Math.max(0, ...names.map((name) => name.length));
  // A legend does not follow the width of its chart, which paper has less of.
  return Math.max(1, Math.min(4, Math.floor(Math.min(width, PAPER) / (6 * longest + 40))));
};
const config = (spec, width) => ({
  background: "transparent",
  font: "system-ui, sans-serif",
  view: { stroke: null },
  axis: { ...axis, labelLimit: width < 520 ? 110 : 260 },
  legend: { labelColor: "var(--ink)", titleColor: "var(--pale)", columns: columns(spec, width) },
});
const drawn = [];
for (const place of document.querySelectorAll(".chart")) {
  const spec = JSON.parse(place.nextElementSibling.textContent);
  const options = { mode: "vega-lite", renderer: "svg", actions: false,
    config: config(spec, place.clientWidth) };
  window.vegaEmbed(place, spec, options).then(({ view }) => drawn.push([place, view])).catch((error) => {
    place.textContent = `This chart cannot be drawn: ${error.message}`;
  });
}
// A chart that is as wide as the screen would be made smaller on paper, and its words with it.
const draw = (width) => drawn.forEach(([place, view]) => view.width(width(place)).run());
window.addEventListener("beforeprint", () => draw(() => PAPER));
window.addEventListener("afterprint", () => draw((place) => place.clientWidth));
