/*
 * The numbers beside the picture: what the frame's header says, in the page's own words, and the
 * agent's policy for the picture shown, as one bar an action.
 */

import { byId, make, numberText, percentText, setText, steadyText } from './page.js';

/**
 * @returns {{
 *   start: (hello: import('./protocol.js').Hello) => void,
 *   show: (
 *     header: import('./protocol.js').Header,
 *     settings: import('./protocol.js').Settings,
 *   ) => void,
 * }}
 */
export function createHud() {
  /** @type {string[]} */
  let names = [];
  /** @type {ReturnType<typeof policyRow>[]} */
  let rows = [];

  /** @param {import('./protocol.js').Hello} hello */
  function start({ actions }) {
    names = actions.map(({ name }) => name);
    rows = names.map(policyRow);
    byId('policy').replaceChildren(...rows.map(({ row }) => row));
    byId('policy').classList.toggle('two-columns', rows.length > 9);
  }

  /**
   * @param {import('./protocol.js').Header} header
   * @param {import('./protocol.js').Settings} settings
   */
  function show(header, settings) {
    const [view] = header.views;
    const texts = {
      reward: numberText(view.reward),
      return: numberText(view.return),
      value: steadyText(header.value, 2),
      termination: percentText(view.termination),
      entropy: steadyText(header.entropy, 2),
      horizon: settings.horizon === 0 ? 'endless' : String(settings.horizon),
      action: header.action === null ? '–' : names[header.action],
      fps: steadyText(header.fps, 1),
      'model-ms': steadyText(header.model_ms, 1, ' ms'),
      latency: steadyText(header.latency_ms, 1, ' ms'),
      wait: steadyText(header.wait_ms, 1, ' ms'),
    };
    for (const [id, text] of Object.entries(texts)) setText(byId(id), text);
    setText(byId('viewers'), header.viewers > 1 ? `${header.viewers} viewers` : '');
    for (const [i, { update }] of rows.entries()) update(header.policy?.[i] ?? null);
  }

  return { start, show };
}

/** @param {string} name */
function policyRow(name) {
  const fill = make('i');
  const percent = make('span', { className: 'percent' }, '–');
  const bar = make('span', { className: 'bar' }, fill);
  const row = make('li', {}, make('span', { className: 'name', title: name }, name), bar, percent);

  /** @param {?number} probability */
  function update(probability) {
    fill.style.transform = `scaleX(${probability ?? 0})`;
    setText(percent, percentText(probability));
  }
  return { row, update };
}
