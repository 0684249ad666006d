{
  // A page is painted before its script, which makes it handier, is read. What
  // needs the script is not shown before.
  const script = document.currentScript.dataset.script;
  const read = () => import(script);
  if (PerformanceObserver.supportedEntryTypes.includes("paint")) {
    new PerformanceObserver((entries, observer) => {
      observer.disconnect();
      read();
    }).observe({ type: "paint", buffered: true });
  } else {
    addEventListener("load", read);
  }
}
