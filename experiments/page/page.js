// Draws every chart into its place: as SVG, which prints and follows the page's colours. Nothing is fetched.
"use strict";
(async () => {
  const specs = JSON.parse(document.getElementById("specs").textContent);
  const state = document.body.dataset;
  let drawn = 0, failed = 0;
  // Vega-Lite says of each chart with lines of a fixed height that it leaves that height as it is.
  const warn = console.warn;
  console.warn = (...said) => { if (!said.join(" ").includes('Dropping "fit-y"')) warn.apply(console, said); };
  // A legend beside which there is no room has fewer columns.
  const columns = (place) => Math.max(1, Math.min(5, Math.floor(place.clientWidth / 170)));
  for (const place of document.querySelectorAll(".chart")) {
    const spec = specs[place.dataset.chart];
    spec.config.legend.columns = columns(place);
    // As narrow as a telephone: names may take a third of it.
    if (place.clientWidth < 480) spec.config.axis.labelLimit = 110;
    try {
      await vegaEmbed(place, spec, {mode: "vega-lite", renderer: "svg", actions: false, defaultStyle: false, tooltip: {theme: "custom"}, logLevel: 1});
      // The place has the chart's name and its words; what is inside has none.
      place.querySelector("svg").setAttribute("aria-hidden", "true");
      drawn += 1;
    } catch (error) {
      failed += 1;
      place.innerHTML = "<p class=failed></p>";
      place.firstChild.textContent = "This chart could not be drawn: " + error.message;
      console.error(place.dataset.chart, error);
    }
  }
  console.warn = warn;
  state.drawn = drawn;
  state.failed = failed;
})();
