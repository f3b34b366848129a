// What scripts/report_test asks a page of plumb report, as functions of window.T.
window.T = {
  all: (selector, root = document) => [...root.querySelectorAll(selector)],

  seen: e => {
    const box = e.getBoundingClientRect();
    return e.checkVisibility() && box.width > 0 && box.height > 0;
  },

  // ---- contrast, as WCAG 2 counts it
  rgb: color => {
    const n = color.match(/[\d.]+/g).map(Number);
    return [n[0], n[1], n[2], n[3] ?? 1];
  },
  light: ([r, g, b]) => {
    const f = [r, g, b].map(v => v / 255)
      .map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * f[0] + 0.7152 * f[1] + 0.0722 * f[2];
  },
  contrast: (a, b) => {
    const [x, y] = [T.light(a), T.light(b)].sort((p, q) => q - p);
    return (x + 0.05) / (y + 0.05);
  },
  behind: e => { // the colour on which it stands
    for (; e; e = e.parentElement) {
      const color = T.rgb(getComputedStyle(e).backgroundColor);
      if (color[3] > 0.99) return color;
    }
    return [255, 255, 255, 1];
  },
  faint: least => { // texts with less contrast
    const found = [], walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    for (let n = walk.nextNode(); n; n = walk.nextNode()) {
      const e = n.parentElement;
      if (!n.textContent.trim() || !T.seen(e) || e.closest('script,style,canvas,option')) continue;
      const style = getComputedStyle(e), inside = e.closest('svg');
      const ratio = T.contrast(T.rgb(inside ? style.fill : style.color), T.behind(e));
      if (ratio < least) found.push(n.textContent.slice(0, 30) + ': ' + ratio.toFixed(2));
    }
    return [...new Set(found)];
  },

  // ---- texts of pictures that lie on one another or leave their picture
  crowded: () => {
    const found = [];
    T.all('svg[role=img]').filter(T.seen).forEach(svg => {
      const box = svg.viewBox.baseVal, texts = T.all('text', svg).map(t => [t, t.getBBox()]);
      texts.forEach(([t, b], i) => {
        const right = b.x + b.width, bottom = b.y + b.height;
        if (b.x < -2 || b.y < -2 || right > box.width + 2 || bottom > box.height + 2)
          found.push('leaves the picture: ' + t.textContent);
        texts.slice(i + 1).forEach(([u, c]) => {
          const w = Math.min(right, c.x + c.width) - Math.max(b.x, c.x);
          const h = Math.min(bottom, c.y + c.height) - Math.max(b.y, c.y);
          if (w > 1 && h > 3.5) found.push('overlap: ' + t.textContent + ' | ' + u.textContent);
        });
      });
    });
    return found;
  },

  // ---- every heading, clicked twice: [clicks, faults]
  sort: () => {
    const faults = [];
    let clicks = 0;
    const value = (row, i) => {
      const cell = row.cells[i], v = cell.dataset.v;
      return v === undefined ? cell.textContent.trim().toLowerCase() : v === 'nan' ? NaN : +v;
    };
    const look = (table, i, way) => {
      const v = [...table.tBodies[0].rows].map(row => value(row, i)), n = v.filter(x => x === x);
      if (v.slice(0, n.length).some(x => x !== x)) faults.push(table.id + ': empty cells not last');
      n.slice(1).forEach((x, k) => {
        if (way === 'ascending' ? x < n[k] : x > n[k])
          faults.push(`${table.id} column ${i} is not ${way}`);
      });
    };
    T.all('table.sortable').forEach(table => T.all('thead button', table).forEach((button, i) => {
      ['ascending', 'descending'].forEach(way => {
        button.click();
        clicks++;
        if (button.parentNode.getAttribute('aria-sort') !== way)
          faults.push(`${table.id} column ${i} does not say ${way}`);
        look(table, i, way);
      });
    }));
    return [clicks, faults];
  },

  // ---- what the read-out says at every point, by the arrow keys: [[heading, variant, number]]
  read: name => {
    const chart = document.getElementById(name), tip = chart.querySelector('.tip'), found = [];
    const press = key => chart.dispatchEvent(new KeyboardEvent('keydown', {key, bubbles: true}));
    for (let i = 0, last = ''; i < 1000; i++) {
      press('ArrowRight');
      const head = tip.querySelector('b').textContent;
      if (head === last) break;
      last = head;
      T.all('div', tip).forEach(row => found.push(
        [head, row.lastChild.textContent.trim(), row.querySelector('.value').textContent]));
    }
    press('Escape');
    return found;
  },

  point: () => { // the pointer in the middle of the first chart; how many read-outs are seen
    const svg = T.all('svg', document.querySelector('.chart')).find(T.seen);
    const box = svg.getBoundingClientRect(), clientX = box.left + box.width / 2;
    const options = {clientX, clientY: box.top + 50, bubbles: true};
    svg.dispatchEvent(new PointerEvent('pointermove', options));
    return T.all('.tip').filter(T.seen).length;
  },

  // ---- the matrix viewer
  part: name => document.getElementById('viewer-' + name),
  pixels: () => ['left', 'right'].map(side => T.part(side).toDataURL()),
  probe: index => {
    T.part('step').value = index;
    T.part('step').dispatchEvent(new Event('input'));
  },
  seed: () => { // the last of the list; how many there are
    const list = T.part('seed');
    list.selectedIndex = list.length - 1;
    list.dispatchEvent(new Event('change'));
    return list.length;
  },
  cell: () => {
    T.part('left').dispatchEvent(new KeyboardEvent('keydown', {key: 'ArrowDown', bubbles: true}));
    return T.part('cell').textContent;
  },

  cut: () => T.all('.scroll,pre') // boxes that hide a part of what they hold
    .filter(e => e.scrollWidth > e.clientWidth + 1 || getComputedStyle(e).overflowX !== 'visible')
    .map(e => e.textContent.slice(0, 40)),

  inventory: () => Object.fromEntries(Object.entries({
    tips: '.tip', viewer: '#viewer', maps: '.maps img', rows: '#results tbody tr',
    pictures: 'svg[role=img]',
  }).map(([name, selector]) => [name, T.all(selector).filter(T.seen).length])),
};
