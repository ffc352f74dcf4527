const axis = { labelColor: "var(--pale)", titleColor: "var(--ink)", gridColor: "var(--line)",
  domainColor: "var(--line)", tickColor: "var(--line)", titleFontWeight: 500 };
const config = (width) => ({
  background: "transparent",
  font: "system-ui, sans-serif",
  view: { stroke: null },
  axis: { ...axis, labelLimit: width < 520 ? 110 : 260 },
  legend: { labelColor: "var(--ink)", titleColor: "var(--pale)", columns: width < 520 ? 1 : 4 },
});
for (const place of document.querySelectorAll(".chart")) {
  const spec = JSON.parse(place.nextElementSibling.textContent);
  const options = { mode: "vega-lite", renderer: "svg", actions: false, config: config(place.clientWidth) };
  window.vegaEmbed(place, spec, options).catch((error) => {
    place.textContent = `This chart cannot be drawn: ${error.message}`;
  });
}
