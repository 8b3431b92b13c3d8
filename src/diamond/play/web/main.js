/*
 * Puts the page together: what arrives goes to the parts that show it, what the player does goes to
 * the server. A frame is drawn in the moment it arrives and then reported, because the server sends
 * the next one only after that.
 */

import { createBindings } from './bindings.js';
import { createButtons } from './buttons.js';
import { openConnection } from './connection.js';
import { createControls } from './controls.js';
import { createGamepads } from './gamepad.js';
import { createHud } from './hud.js';
import { createKeyboard } from './keyboard.js';
import { createKeys } from './keys.js';
import { byId, setText } from './page.js';
import { createRecordings } from './recordings.js';
import { createReplayer } from './replayer.js';
import { createScreen } from './screen.js';
import { createSettings } from './settings.js';
import { createTouch } from './touch.js';

const NOTICE_LASTS = 7000;

/** @typedef {import('./protocol.js').Settings} Settings */

const state = {
  connected: false,
  greeted: false,
  driver: false,
  taken: true,
  takingOver: false,
  settings: /** @type {?Settings} */ (null),
  header: /** @type {?import('./protocol.js').Header} */ (null),
};
let noticeTimer = 0;

/** @param {import('./protocol.js').Request} message */
const send = (message) => connection.send(message);

const screen = createScreen();
const hud = createHud();
const controls = createControls(send, tell);
const settings = createSettings(send, tell);
const replayer = createReplayer({ tell, onOpen: leaveGame });
const recordings = createRecordings({ tell, watch: replayer.open });
const bindings = createBindings();
const buttons = createButtons(sendButtons);

/** @type {import('./keyboard.js').Shortcut[]} */
const shortcuts = [
  { key: 'm', code: 'KeyM', label: 'M', text: 'agent or you', act: controls.togglePlayer },
  { key: 't', code: 'KeyT', label: 'T', text: 'next world', act: controls.nextWorld },
  { key: 'p', code: 'KeyP', label: 'P', text: 'pause or play', act: controls.togglePause },
  { key: 'e', code: 'KeyE', label: 'E', text: 'one picture, while paused', act: controls.takeStep },
  {
    key: 'r',
    code: 'KeyR',
    label: 'R',
    text: 'record or stop',
    act: controls.toggleRecording,
    needs: 'recordings',
  },
  { key: 'enter', code: 'Enter', label: 'Enter', text: 'a new start', act: controls.reset },
  {
    key: ',',
    code: 'Comma',
    label: ',',
    text: 'one picture back',
    act: controls.back,
    repeats: true,
  },
  {
    key: '.',
    code: 'Period',
    label: '.',
    text: 'one picture on',
    act: controls.forward,
    repeats: true,
  },
];
const devices = {
  keyboard: createKeyboard({
    bindings,
    shortcuts,
    hold: (held) => buttons.hold('keyboard', held),
    isPlaying,
  }),
  gamepads: createGamepads({ bindings, hold: (held) => buttons.hold('gamepads', held) }),
  touch: createTouch((held) => buttons.hold('touch', held)),
};
const keys = createKeys({ bindings, shortcuts, onChange: releaseButtons });

addEventListener('blur', releaseButtons);
addEventListener('pagehide', releaseButtons);
document.addEventListener('visibilitychange', releaseButtons);
byId('again').addEventListener('click', () => connection.startAgain());

const connection = openConnection({ onMessage, onFrame, onState });

/** @param {import('./protocol.js').Message} message */
function onMessage(message) {
  if (message.type === 'hello') start(message);
  else if (message.type === 'settings') showSettings(message.settings);
  else if (message.type === 'driver') showDriver(message.driver, message.taken);
  else if (message.type === 'problem') {
    state.takingOver = false;
    tell(message.message, true);
    controls.refused();
    if (state.settings) settings.showSettings(state.settings);
  }
}

/** @param {import('./protocol.js').Hello} hello */
function start(hello) {
  document.title = `${hello.title} – diamond`;
  setText(byId('title'), hello.title);
  setText(byId('subtitle'), hello.subtitle);
  byId('sharing').hidden = hello.session === null;
  Object.assign(state, { greeted: true, driver: hello.driver });
  releaseButtons();
  bindings.start(hello);
  const parts = [hud, controls, settings, devices.touch, keys, replayer, recordings];
  for (const part of parts) part.start(hello);
  showSettings(hello.settings);
  showDriver(hello.driver, true);
}

/** @param {Settings} news */
function showSettings(news) {
  state.settings = news;
  state.takingOver = false;
  controls.showSettings(news);
  settings.showSettings(news);
  recordings.showSettings(news);
  if (state.header) hud.show(state.header, news);
}

/**
 * @param {boolean} driver whether this page has the controls
 * @param {boolean} taken whether any page has
 */
function showDriver(driver, taken) {
  Object.assign(state, { driver, taken });
  if (!driver) releaseButtons();
  const enabled = state.connected && driver;
  const watching = taken
    ? 'You are watching while somebody else has the controls.'
    : 'You are watching. Nobody has the controls.';
  const isWatching = state.greeted && !driver;
  controls.showDriver(enabled, isWatching ? watching : null, state.connected && !taken);
  settings.showDriver(enabled);
  devices.touch.showDriver(driver);
}

/** @param {import('./protocol.js').Frame} frame */
function onFrame(frame) {
  screen.draw(frame);
  send({ type: 'shown', frame: frame.header.frame });
  state.header = frame.header;
  screen.describe(frame.header);
  if (state.settings) hud.show(frame.header, state.settings);
  controls.showFrame(frame.header);
  recordings.showFrame(frame.header);
}

/** Whether what is pressed acts in the game. */
function isPlaying() {
  return state.driver && !replayer.isOpen();
}

/**
 * Tells the server what is held; a press while somebody else plays takes over from them.
 * @param {string[]} held
 * @param {string[]} pressed
 */
function sendButtons(held, pressed) {
  devices.touch.showHeld(held);
  if (!isPlaying()) return;
  if (pressed.length > 0 && state.settings?.player !== 'human' && !state.takingOver) {
    state.takingOver = true;
    send({ type: 'set', name: 'player', value: 'human' });
  }
  send({ type: 'buttons', held, pressed });
}

function releaseButtons() {
  for (const device of Object.values(devices)) device.release();
}

/** Lets go of the game and of a key that is being changed. */
function leaveGame() {
  bindings.deliver(null);
  releaseButtons();
}

/**
 * @param {import('./connection.js').ConnectionState} name
 * @param {string} text
 */
function onState(name, text) {
  state.connected = name === 'connected';
  const status = byId('status');
  status.dataset.state = name;
  setText(status, text);
  byId('again').hidden = name !== 'ended';
  showDriver(state.driver, state.taken);
}

/**
 * Shows a notice to the player.
 * @param {string} text
 * @param {boolean} [isProblem]
 */
function tell(text, isProblem = false) {
  const notice = byId('notice');
  setText(notice, text);
  notice.classList.toggle('problem', isProblem);
  clearTimeout(noticeTimer);
  noticeTimer = setTimeout(() => setText(notice, ''), NOTICE_LASTS);
}
