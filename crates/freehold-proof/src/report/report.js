'use strict';
// Filters by what stands in the page: no data is handed over in script, and nothing is ever written as HTML.
(() => {
  const form = document.getElementById('filters');
  if (!form) return;
  const PAGE = 12;
  const byId = (id) => document.getElementById(id);
  const items = [...document.querySelectorAll('#items > .item')];
  const texts = new Map();
  const textOf = (item) => {
    if (!texts.has(item)) {
      const parts = [...item.querySelectorAll('.q, .a, .meta code')].map((e) => e.textContent);
      texts.set(item, parts.join('\n').normalize('NFKC').toLowerCase());
    }
    return texts.get(item);
  };
  let limit = PAGE;

  const apply = () => {
    const topic = byId('f-topic').value;
    const group = byId('f-group').value;
    const lang = byId('f-lang').value;
    const label = byId('f-label').value;
    const changed = byId('f-changed').checked;
    const text = byId('f-text').value.normalize('NFKC').toLowerCase().trim();
    let found = 0;
    for (const item of items) {
      const d = item.dataset;
      const hit = (!topic || d.topic === topic) && (!group || d.group === group) && (!lang || d.lang === lang) &&
        (!label || d.label.includes(' ' + label + ' ')) && (!changed || d.changed === '1') &&
        (!text || textOf(item).includes(text));
      if (hit) found += 1;
      item.classList.toggle('off', !hit || found > limit);
    }
    byId('shown').textContent = 'Showing ' + Math.min(found, limit) + ' of ' + found + ' found, ' + items.length + ' in all';
    document.querySelector('.more').hidden = found <= limit;
  };

  form.hidden = false;
  form.addEventListener('submit', (e) => e.preventDefault());
  form.addEventListener('input', () => { limit = PAGE; apply(); });
  byId('more').addEventListener('click', () => { limit += 4 * PAGE; apply(); });
  apply();
})();
