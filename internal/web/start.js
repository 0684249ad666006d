{
  // A page is painted before its script, which makes it handier, is read. What
  // needs the script is not shown before.
  const script = document.currentScript.dataset.script;
  const run = () => {
    import("/assets/common.js"); // which all scripts ask for
    import(script);
  };
  const read = () => {
    if (document.readyState === "loading") addEventListener("DOMContentLoaded", run);
    else run();
  };
  if (globalThis.PerformanceObserver?.supportedEntryTypes?.includes("paint")) {
    new PerformanceObserver((entries, observer) => {
      observer.disconnect();
      read();
    }).observe({ type: "paint", buffered: true });
  }
  addEventListener("load", () => setTimeout(read, 500)); // where nobody tells of a paint; twice is once
}
