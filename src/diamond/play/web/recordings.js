/*
 * The panel "Recordings": what was recorded, the newest first, each to be watched again. While it
 * is open the list is fetched again whenever a recording may have been written.
 */

import { byId, make, numberText, setText } from './page.js';
import { WORLDS } from './screen.js';
import { ask } from './server.js';

const LISTS_APART = 500;
const PLAYERS = new Map([
  ['agent', 'agent'],
  ['human', 'you'],
  ['random', 'random'],
]);
const LIST = new Intl.ListFormat('en-GB');

/** @typedef {import('./protocol.js').Header} Header */
/** @typedef {import('./protocol.js').Recording} Recording */

/**
 * @param {object} parts
 * @param {(recording: Recording) => void} parts.watch opens a recording
 * @param {(text: string, isProblem: boolean) => void} parts.tell shows a notice to the player
 */
export function createRecordings({ watch, tell }) {
  const panel = byId('recordings', HTMLDetailsElement);
  const list = byId('recordings-list');
  let folder = '';
  /** @type {Map<string, HTMLElement>} */
  let rows = new Map();
  let asked = 0;
  let timer = 0;
  /** @type {?import('./protocol.js').Settings} */
  let settings = null;
  /** @type {?Header} */
  let before = null;

  async function load() {
    clearTimeout(timer);
    timer = 0;
    asked += 1;
    const mine = asked;
    try {
      const recordings = await ask('recordings', (response) => response.json());
      if (mine === asked) show(recordings);
    } catch (problem) {
      tell(/** @type {Error} */ (problem).message, true);
    }
  }

  /** Once for all that happens at about the same time. */
  function loadSoon() {
    if (panel.open) timer ||= setTimeout(load, LISTS_APART);
  }

  /**
   * Rows that stay keep their elements, and with them the focus.
   * @param {Recording[]} recordings
   */
  function show(recordings) {
    const focused = document.activeElement;
    const known = rows;
    rows = new Map(
      recordings.map((recording) => {
        const key = JSON.stringify(recording);
        return [key, known.get(key) ?? recordingRow(recording, watch)];
      }),
    );
    list.replaceChildren(...rows.values());
    if (focused instanceof HTMLElement && list.contains(focused)) focused.focus();
    setText(
      byId('recordings-help'),
      recordings.length > 0
        ? `They are in ${folder}.`
        : 'Nothing is recorded yet. Choose Record under the picture, and what is played from then' +
            ` on is kept: each game once it ends, the last once you stop. It goes to ${folder}.`,
    );
  }

  panel.addEventListener('toggle', () => {
    if (panel.open) load();
  });

  return {
    /**
     * Takes the server's hello; without a folder nothing can be recorded.
     * @param {import('./protocol.js').Hello} hello
     */
    start(hello) {
      folder = hello.recordings ?? '';
      panel.hidden = hello.recordings === null;
      byId('record').hidden = panel.hidden;
      before = null;
      loadSoon();
    },

    /**
     * Sees the settings as the server has them: to stop, or go to another world, ends one.
     * @param {import('./protocol.js').Settings} news
     */
    showSettings(news) {
      const goesOn = news.recording && news.world === settings?.world;
      if (settings?.recording && !goesOn) loadSoon();
      settings = news;
    },

    /**
     * Sees a frame go by: a game that ended, began or branched off a past one ends one.
     * @param {Header} header
     */
    showFrame(header) {
      if (settings?.recording && before !== null && isTurn(before, header)) loadSoon();
      before = header;
    },
  };
}

/**
 * @param {Header} before
 * @param {Header} header
 */
function isTurn(before, { newest, views }) {
  return (
    newest < before.newest ||
    views.some(({ ended, steps = Infinity }, i) => ended || steps < (before.views[i]?.steps ?? 0))
  );
}

/**
 * What a recording shows, and who plays in it.
 * @param {Recording} recording
 * @returns {string}
 */
export function sceneText({ world, players }) {
  const who = LIST.format(players.map((player) => PLAYERS.get(player) ?? player));
  return [WORLDS.get(world), who].filter(Boolean).join(', ');
}

/**
 * How a recording went, in a line.
 * @param {Recording} recording
 * @returns {string}
 */
export function courseText({ steps, return: sum, ended, parent, parent_step: parentStep }) {
  return [
    steps === 1 ? '1 step' : `${steps} steps`,
    `return ${numberText(sum)}`,
    ...(ended === 'terminated' ? ['game over'] : []),
    ...(parent === null ? [] : [`branched off no. ${parent} at step ${parentStep}`]),
  ].join(', ');
}

/**
 * @param {Recording} recording
 * @param {(recording: Recording) => void} watch
 */
function recordingRow(recording, watch) {
  const button = make(
    'button',
    { type: 'button' },
    make('b', {}, `No. ${recording.number}`),
    make('span', {}, sceneText(recording)),
    make('small', {}, courseText(recording)),
  );
  button.addEventListener('click', () => watch(recording));
  return make('li', {}, button);
}
