'use strict';
const diagram = document.getElementById('diagram');
const rows = [...diagram.querySelectorAll('.row')];
const arrows = new Map();
for (const one of diagram.querySelectorAll('.arrows')) arrows.set(rows[Number(one.dataset.row)], one);
const lasting = [...diagram.querySelectorAll('[data-from]')];
const details = document.getElementById('details');
const shown = document.getElementById('shown');
const key = document.getElementById('key');
const idle = document.getElementById('idle');
const parties = [...document.querySelectorAll('input[data-party]')];
const choice = document.createElementNS('http://www.w3.org/2000/svg', 'rect');
let chosen = -1;

choice.id = 'choice';
choice.setAttribute('width', '100%');
choice.setAttribute('height', 18);
choice.setAttribute('visibility', 'hidden');
diagram.insertBefore(choice, diagram.querySelector('.row'));

// Hides what was not asked for, and closes the gaps that this leaves.
function flow() {
  const wanted = key.value.trim().toLowerCase();
  const absent = new Set(parties.filter(box => !box.checked).map(box => box.dataset.party));
  const tops = [];
  let top = 8;
  let count = 0;
  diagram.classList.toggle('show-idle', idle.checked);
  for (const row of rows) {
    const others = row.dataset.p.split(' ').some(party => absent.has(party));
    const keys = row.dataset.k.toLowerCase();
    // What a key has no part in stays only if it is no frame: faults, crashes, the end.
    const framed = row.querySelector('.from, .arrived, .frame') !== null;
    const about = !wanted || (keys ? keys.includes(wanted) : !framed);
    const hidden = others || !about;
    row.classList.toggle('hidden', hidden);
    arrows.get(row)?.classList.toggle('hidden', hidden);
    if (!hidden && (idle.checked || !row.classList.contains('idle'))) {
      top += Number(row.dataset.h);
      count += 1;
    }
    tops.push(top);
  }
  rows.forEach((row, number) => {
    const place = `translate(0,${tops[number]})`;
    row.setAttribute('transform', place);
    arrows.get(row)?.setAttribute('transform', place);
    for (const line of arrows.get(row)?.querySelectorAll('[data-to]') ?? []) {
      line.setAttribute('y2', tops[Number(line.dataset.to)] - tops[number]);
    }
  });
  for (const one of lasting) {
    const [from, to] = [tops[Number(one.dataset.from)], tops[Number(one.dataset.to)]];
    if (one.tagName === 'rect') {
      one.setAttribute('y', from);
      one.setAttribute('height', to - from);
    } else {
      one.setAttribute('y1', from);
      one.setAttribute('y2', to);
      one.style.opacity = absent.has(one.dataset.p) ? 0.25 : 1;
    }
  }
  diagram.setAttribute('height', top + 24);
  shown.textContent = `${count} of ${rows.length} rows`;
  choose(chosen, false);
}

function visible(row) {
  return !row.classList.contains('hidden') && (idle.checked || !row.classList.contains('idle'));
}

function choose(number, scroll) {
  rows[chosen]?.classList.remove('chosen');
  rows[chosen]?.removeAttribute('aria-selected');
  const row = rows[number];
  if (!row || !visible(row)) {
    choice.setAttribute('visibility', 'hidden');
    return;
  }
  chosen = number;
  row.classList.add('chosen');
  row.setAttribute('aria-selected', 'true');
  diagram.setAttribute('aria-activedescendant', row.id);
  details.textContent = row.querySelector('title').textContent;
  const top = Number(row.getAttribute('transform').match(/,(-?\d+)/)[1]);
  choice.setAttribute('y', top - 13);
  choice.setAttribute('visibility', 'visible');
  if (scroll) {
    const y = diagram.getBoundingClientRect().top + window.scrollY + top;
    const [first, last] = [window.scrollY + 140, window.scrollY + window.innerHeight - 190];
    if (y < first || y > last) window.scrollTo({ top: y - window.innerHeight / 2 });
  }
}

function move(number, step) {
  let next = number + step;
  while (rows[next] && !visible(rows[next])) next += Math.sign(step) || 1;
  if (rows[next]) choose(next, true);
}

diagram.addEventListener('click', event => {
  const row = event.target.closest('.row');
  if (row) choose(rows.indexOf(row), false);
});
diagram.addEventListener('keydown', event => {
  const moves = {
    ArrowDown: () => move(chosen, 1),
    ArrowUp: () => move(chosen, -1),
    Home: () => move(-1, 1),
    End: () => move(rows.length, -1),
  };
  if (moves[event.key]) {
    event.preventDefault();
    moves[event.key]();
  }
});
for (const control of [key, idle, ...parties]) control.addEventListener('input', flow);
flow();
