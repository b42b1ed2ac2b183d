// SPDX-License-Identifier: MIT
// Hovering over a synchronization shows its reasons, a click keeps them. Works on what stands in
// the page; without it all reasons are open.
(function () {
    "use strict";
    const all = (selector, root) => Array.from((root || document).querySelectorAll(selector));
    const arc = document.getElementById("arc"), code = document.getElementById("code");
    let kept = null;
    document.documentElement.classList.add("js");

    function draw(pairs) {
        const top = code.getBoundingClientRect().top, seen = new Set();
        let paths = "";
        for (const [a, b] of pairs) {
            const from = document.getElementById("L" + a), to = document.getElementById("L" + b);
            if (!from || !to || seen.has(a + " " + b)) continue;
            seen.add(a + " " + b);
            const middle = line => {
                const box = line.getBoundingClientRect();
                return Math.round(box.top + box.height / 2 - top);
            };
            const y = middle(from), z = middle(to), x = 20 - Math.min(14, 4 + Math.abs(z - y) / 12);
            paths += y === z
                ? `<path d="M20 ${y - 3} C4 ${y - 12} 4 ${y + 12} 20 ${y + 3}"/>`
                : `<path d="M20 ${y} C${x} ${y} ${x} ${y} ${x} ${(y + z) / 2}` +
                  ` S${x} ${z} 20 ${z}"/>`;
            paths += `<path class="tip" d="M23 ${y === z ? y + 3 : z} l-7 -4 v8 z"/>`;
        }
        arc.innerHTML = paths;
    }

    function mark(pairs) {
        all(".line.first, .line.second").forEach(line => line.classList.remove("first", "second"));
        for (const [a, b] of pairs) {
            const first = document.getElementById("L" + a);
            const second = document.getElementById("L" + b);
            if (first) first.classList.add("first");
            if (second) second.classList.add("second");
        }
        draw(pairs);
    }

    const pairsOf = id =>
        all(`article[data-sync="${id}"] li[data-a]`).map(li => [li.dataset.a, li.dataset.b]);

    function show(id) {
        all("[data-sync]").forEach(e => e.classList.toggle("on", e.dataset.sync === id));
        mark(id === null ? [] : pairsOf(id));
    }

    all(".sync, .mark").forEach(element => {
        const id = element.dataset.sync;
        element.addEventListener("mouseenter", () => show(id));
        element.addEventListener("mouseleave", () => show(kept));
        element.addEventListener("focus", () => show(id));
        element.addEventListener("click", () => { kept = id; show(id); });
        element.addEventListener("keydown", event => {
            if (event.key !== "Enter" && event.key !== " ") return;
            kept = id;
            show(id);
            event.preventDefault();
        });
    });
    all(".pairs li").forEach(li => {
        const id = li.closest("article").dataset.sync;
        li.addEventListener("mouseenter", () => mark([[li.dataset.a, li.dataset.b]]));
        li.addEventListener("mouseleave", () => mark(pairsOf(id)));
    });
    const wanted = document.getElementById(location.hash.slice(1));
    const barrier = document.querySelector(".sync.barrier") || document.querySelector(".sync");
    const start = wanted && wanted.dataset.sync ? wanted : barrier;
    if (start) { kept = start.dataset.sync; show(kept); }
    window.addEventListener("resize", () => show(kept));
}());
