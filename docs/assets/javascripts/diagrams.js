// Stands in for mermaid until a page draws a diagram. Then the real one is loaded, from the folder
// of this script: the theme, which finds a mermaid, does not fetch one from elsewhere.
{
  const source = new URL("mermaid.tiny.js", document.currentScript.src);
  let options;
  let loading;

  const load = () =>
    (loading ??= new Promise((resolve, reject) => {
      const script = document.createElement("script");
      script.src = source;
      script.onerror = reject;
      script.onload = () => {
        // The script has put itself in the place of this stand-in.
        window.mermaid.initialize(options);
        resolve(window.mermaid);
      };
      document.head.append(script);
    }));

  window.mermaid = {
    initialize(given) {
      options = given;
    },
    async render(...diagram) {
      return (await load()).render(...diagram);
    },
  };
}
