// What the page adds where scripts run: sorting, reading charts off, highlighting one variant, and
// the depth-mixing matrix at any probe. Nothing is fetched; without this file the page is whole.
(() => {
  'use strict';
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  const read = id => JSON.parse(document.getElementById(id).textContent);
  const minus = text => text.replace('-', '\u2212');

  // ---- tables: a click on a heading sorts by it, a second one the other way round
  const value = (row, i) => {
    const cell = row.cells[i], v = cell.dataset.v;
    return v === undefined ? cell.textContent.trim().toLowerCase() : v === 'nan' ? NaN : +v;
  };
  const compare = (a, b) => a < b ? -1 : a > b ? 1 : 0;
  all('table.sortable').forEach(table => all('thead button', table).forEach((button, i) => {
    button.addEventListener('click', () => {
      const head = button.parentNode, up = head.getAttribute('aria-sort') !== 'ascending';
      all('thead th', table).forEach(th => th.setAttribute('aria-sort', 'none'));
      head.setAttribute('aria-sort', up ? 'ascending' : 'descending');
      const rows = [...table.tBodies[0].rows].map(row => [value(row, i), row]);
      const absent = v => Number.isNaN(v); // what has no number stays below
      rows.sort(([a], [b]) => absent(a) - absent(b) || compare(a, b) * (up ? 1 : -1));
      rows.forEach(([, row]) => table.tBodies[0].append(row));
    });
  }));

  // ---- highlight: one variant in every chart and table
  const choose = chosen => {
    all('[data-s^=s]').forEach(e => { // q0, q1: lines that are no variant's
      if (e.tagName === 'BUTTON') e.setAttribute('aria-pressed', e.dataset.s === chosen);
      else e.classList.toggle('dim', chosen !== '' && e.dataset.s !== chosen);
    });
  };
  all('button[data-s]').forEach(button => button.addEventListener('click', () =>
    choose(button.getAttribute('aria-pressed') === 'true' ? '' : button.dataset.s)));

  // ---- read-out of a chart: the values at the point nearest to the pointer
  const place = (v, [low, high, log]) => {
    const f = log ? Math.log10 : x => x;
    return high > low ? (f(v) - f(low)) / (f(high) - f(low)) : 0.5;
  };
  const line = (parent, name, text) => {
    const e = parent.appendChild(document.createElement(name));
    e.textContent = text;
    return e;
  };
  all('.chart').forEach(chart => {
    const data = read('data-' + chart.id), tip = chart.querySelector('.tip');
    const say = v => minus((data.signed && v > 0 ? '+' : '') +
      (data.signed ? v.toFixed(data.digits) : v.toPrecision(data.digits)));
    const points = [...new Set(data.series.flatMap(s => s[2] || data.at))].sort((a, b) => a - b);
    let current = -1;
    const shown = () => { // the picture of this width, and its frame
      const i = all('svg[role=img]', chart).findIndex(s => s.getBoundingClientRect().width > 0);
      return [all('svg[role=img]', chart)[i], data.boxes[i]];
    };
    const hide = () => {
      tip.hidden = true;
      all('.cross', chart).forEach(c => c.setAttribute('d', ''));
    };
    const show = index => {
      current = Math.max(0, Math.min(points.length - 1, index));
      const at = points[current], [svg, [w, left, right, top, bottom]] = shown();
      const rows = data.series.map(s => {
        const i = (s[2] || data.at).indexOf(at);
        return i < 0 || s[3][i] === null ? null : [s[3][i], s, i];
      }).filter(r => r).sort((a, b) => b[0] - a[0]);
      tip.textContent = '';
      line(tip, 'b', minus(+at.toPrecision(6) + '') + ' ' + data.label);
      rows.forEach(([y, s, i]) => {
        const row = line(tip, 'div', '');
        line(row, 'i', '').className = 'mark ' + s[1];
        line(row, 'span', say(y)).className = 'value';
        if (s[4] && s[4][i] !== null)
          line(row, 'small', ' [' + say(s[4][i]) + ', ' + say(s[5][i]) + ']');
        line(row, 'span', ' ' + s[0]);
      });
      const x = left + place(at, data.x) * (right - left);
      svg.querySelector('.cross').setAttribute('d', `M${x} ${top}V${bottom}`);
      tip.hidden = false;
      const at_px = x * svg.getBoundingClientRect().width / w;
      const beside = at_px < chart.clientWidth / 2 ? at_px + 12 : at_px - tip.offsetWidth - 12;
      tip.style.left = Math.max(0, Math.min(chart.clientWidth - tip.offsetWidth, beside)) + 'px';
    };
    const follow = event => {
      const [svg, [w, left, right]] = shown(), box = svg.getBoundingClientRect();
      const part = ((event.clientX - box.left) * w / box.width - left) / (right - left);
      if (part < -0.02 || part > 1.02) return hide();
      const away = points.map(p => Math.abs(place(p, data.x) - part));
      show(away.indexOf(Math.min(...away)));
    };
    all('svg[role=img]', chart).forEach(svg => {
      svg.addEventListener('pointermove', follow);
      svg.addEventListener('pointerdown', follow);
      svg.addEventListener('pointerleave', hide);
    });
    chart.tabIndex = 0; // arrow keys walk along the points
    chart.addEventListener('blur', hide);
    chart.addEventListener('keydown', event => {
      const step = {ArrowRight: 1, ArrowLeft: -1}[event.key];
      if (step) { event.preventDefault(); show(current + step); }
      if (event.key === 'Escape') hide();
    });
    addEventListener('beforeprint', hide);
  });

  addEventListener('beforeprint', () => all('details.printed').forEach(d => { d.open = true; }));

  // ---- the matrix: one variant beside its baseline, over the probes
  const viewer = document.getElementById('viewer');
  if (!viewer) return;
  const heat = read('data-viewer'), part = name => document.getElementById('viewer-' + name);
  const unpack = m => m.bytes ??= Uint8Array.from(atob(m.data), c => c.charCodeAt(0));
  const map = (what, label, seed, step) => { // (row, column) of a packed lower triangle
    const m = heat.maps[what][label];
    if (!m || m.seeds.indexOf(seed) < 0 || m.steps.indexOf(step) < 0) return null;
    const index = m.seeds.indexOf(seed) * m.steps.length + m.steps.indexOf(step);
    const cells = m.n * (m.n + 1) / 2, data = unpack(m), top = m.top[index];
    const code = (r, c) => data[index * cells + r * (r + 1) / 2 + c] - 127;
    const at = (r, c) => Math.sign(code(r, c)) * (code(r, c) / 127) ** 2 * top;
    return {n: m.n, span: m.span, at};
  };
  const color = (v, span) => {
    const root = Math.sign(v) * Math.sqrt(Math.min(1, Math.abs(v) / span));
    return heat.colors[Math.round((root + 1) / 2 * (heat.colors.length - 1))];
  };
  const paint = (canvas, m) => {
    const g = canvas.getContext('2d'), size = m ? canvas.width / m.n : 0;
    g.clearRect(0, 0, canvas.width, canvas.height);
    for (let r = 0; m && r < m.n; r++)
      for (let c = 0; c <= r; c++) {
        g.fillStyle = color(m.at(r, c), m.span);
        const x = Math.floor(c * size), y = Math.floor(r * size);
        g.fillRect(x, y, Math.floor((c + 1) * size) - x, Math.floor((r + 1) * size) - y);
      }
  };
  const sublayer = i => heat.sublayers[part('variant').value][i];
  let chosen = null, base = null, cell = null;
  const words = (label, seed, step) =>
    `${label}, ${seed === 'mean' ? 'mean over seeds' : 'seed ' + seed}, step ${step}`;
  const tell = () => {
    if (!cell) return;
    const [r, c] = cell, other = heat.base[part('variant').value] || 'no baseline';
    const number = m => m && c <= r && r < m.n ? minus(m.at(r, c).toPrecision(2)) : '\u2013';
    part('cell').textContent = `read of ${sublayer(r + 1)}, source ${sublayer(c)}: ` +
      `${number(chosen)} | ${other}: ${number(base)}`;
  };
  const draw = () => {
    const what = part('what').value, label = part('variant').value, m = heat.maps[what][label];
    const other = heat.base[label], seed = part('seed').value;
    const step = m.steps[Math.min(+part('step').value, m.steps.length - 1)];
    chosen = map(what, label, seed, step);
    base = other ? map(what, other, seed, step) : null;
    paint(part('left'), chosen);
    paint(part('right'), base);
    part('left-title').textContent = words(label, seed, step);
    part('right-title').textContent = !other ? 'no baseline to compare with' :
      base ? words(other, seed, step) : `${other} has no such probe`;
    part('at').textContent = 'step ' + step;
    ['left', 'right'].forEach(side => part(side).setAttribute(
      'aria-label', `${heat.names[what]}: ${part(side + '-title').textContent}`));
    part('words').textContent = heat.names[what];
    part('scale').textContent = heat.scales[what].replace('SPAN', minus(m.span.toPrecision(2)));
    tell();
  };
  const fill = (select, values, name) => {
    const before = select.value;
    select.textContent = '';
    values.forEach(v => { const o = line(select, 'option', name(v)); o.value = v; });
    if (values.includes(before)) select.value = before;
  };
  const change = () => { // another variant or quantity has other seeds and probes
    const m = heat.maps[part('what').value][part('variant').value];
    fill(part('seed'), m.seeds, s => s === 'mean' ? 'mean over seeds' : s);
    const end = part('step').value === part('step').max;
    part('step').max = m.steps.length - 1;
    part('step').disabled = m.steps.length < 2;
    if (end) part('step').value = part('step').max;
    draw();
  };
  const reach = () => {
    fill(part('variant'), Object.keys(heat.maps[part('what').value]), v => v);
    change();
  };
  fill(part('what'), Object.keys(heat.maps), w => heat.names[w]);
  part('step').max = part('step').value = 1e6;
  part('what').addEventListener('change', reach);
  part('variant').addEventListener('change', change);
  part('seed').addEventListener('change', draw);
  part('step').addEventListener('input', draw);
  const point = (r, c) => {
    if (c < 0 || c > r || r >= chosen.n) return;
    cell = [r, c];
    tell();
  };
  ['left', 'right'].forEach(side => part(side).addEventListener('pointermove', event => {
    const box = part(side).getBoundingClientRect();
    point(Math.floor((event.clientY - box.top) / box.height * chosen.n),
      Math.floor((event.clientX - box.left) / box.width * chosen.n));
  }));
  part('left').addEventListener('keydown', event => {
    const moves = {ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1]};
    const move = moves[event.key];
    if (!move) return;
    event.preventDefault();
    const [r, c] = cell || [0, 0];
    point(cell ? r + move[0] : 0, cell ? c + move[1] : 0);
  });
  viewer.hidden = false;
  reach();
  if (heat.first) { part('variant').value = heat.first; change(); }
})();
