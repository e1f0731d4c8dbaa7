// What is seen of each comment on the page. Runs in the browser; gives plain values.
(() => {
  const box = (element) => element.getBoundingClientRect();
  const shown = (element) => element.checkVisibility() && box(element).height > 0 && box(element).width > 0;
  const inside = (fold) => [...fold.children].filter((child) => child.tagName !== "SUMMARY");
  const scrolls = (element, top) => {
    for (let up = element.parentElement; up && up !== top; up = up.parentElement)
      if (["TABLE", "PRE"].includes(up.tagName)) return true;
    return false;
  };

  // A fold as it is at first, and as a click leaves it. What it is in is open.
  const fold = (details) => {
    const summary = details.querySelector("summary");
    const closed = !details.open && !inside(details).some(shown) && box(details).height < box(summary).height + 2;
    summary.click();
    const opens = details.open && inside(details).length > 0 && inside(details).every(shown);
    return { name: summary.innerText, closed, opens, bare: [...details.childNodes].some(
      (node) => node.nodeType === Node.TEXT_NODE && node.data.trim()) };
  };
  const table = (element) => ({
    cells: [...element.rows].map((row) => row.cells.length), shown: shown(element),
    rows_shown: [...element.rows].every(shown), said: element.rows[0].innerText,
  });
  const sticks_out = (article) => [...article.querySelectorAll("*")]
    .filter((each) => shown(each) && !scrolls(each, article) && box(each).right > box(article).right + 1)
    .map((each) => `${each.tagName}: ${each.innerText.slice(0, 80)}`);
  const articles = () => [...document.querySelectorAll("article")];

  const chart = async (source, number) => {
    try {
      await mermaid.parse(source);
      const { svg } = await mermaid.render(`chart${number}`, source);
      const place = document.createElement("div");
      place.innerHTML = svg;
      document.body.append(place);
      const drawn = place.querySelector("svg");
      const made = {
        fault: null, shown: shown(drawn),
        tasks: [...drawn.querySelectorAll("rect.task")].filter((task) => box(task).width > 0).length,
        texts: [...drawn.querySelectorAll("text")].map((text) => text.textContent),
      };
      place.remove();
      return made;
    } catch (fault) { return { fault: String(fault), shown: false, tasks: 0, texts: [] }; }
  };

  return {
    sticksOut: () => Object.fromEntries(articles().map((each) => [each.id, sticks_out(each)])),
    all: () => Object.fromEntries(articles().map((article) => [article.id, {
      lines: article.innerText.split("\n").map((line) => line.trim()).filter((line) => line),  // before any fold is opened
      folds: [...article.querySelectorAll("details")].map(fold),
      tables: [...article.querySelectorAll("table")].map(table),
      tags: [...new Set([...article.querySelectorAll("*")].map((each) => each.tagName.toLowerCase()))],
      links: [...article.querySelectorAll("a")].map((each) => each.href),
      charts: [...article.querySelectorAll('pre[lang="mermaid"]')].map((each) => each.textContent),
    }])),
    charts: (sources) => Promise.all(sources.map(chart)),
  };
})()
