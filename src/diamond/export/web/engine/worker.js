/*
 * The thread that dreams: loads everything, greets the page as the server would, and plays.
 */

import { createLoader, inflate } from './files.js';
import { openModels } from './models.js';
import { createRoom } from './room.js';
import { createSession } from './session.js';
import { createWorld } from './world.js';

const PROTOCOL = 1;

/** @typedef {import('./types.js').Facts} Facts */
/** @typedef {import('./types.js').FromPage} FromPage */

/** @type {FromPage[]} */
const waiting = [];
/** @type {(message: FromPage) => void} */
let receive = (message) => waiting.push(message);

/** @param {import('./types.js').ToPage} message */
const send = (message) => postMessage(message);

addEventListener('message', ({ data }) => receive(data));
main().catch((error) => {
  console.error(error);
  send({ type: 'failed', message: `The game broke down: ${error.message ?? error}` });
});

async function main() {
  const loader = createLoader((text) => send({ type: 'loading', text }));
  /** @type {Facts} */
  const facts = JSON.parse(new TextDecoder().decode(await loader.load('dream/dream.json')));
  const wanted = new URLSearchParams(location.search).get('runtime');
  const [models, starts] = await Promise.all([
    openModels(facts, loader, wanted),
    loadStarts(facts, loader),
  ]);
  const session = await createSession(facts, starts, createWorld(facts, models));
  send(hello(facts, models, session.settings));
  const room = createRoom(facts, session, send);
  receive = room.receive;
  for (const message of waiting) receive(message);
  await room.play();
}

/**
 * @param {Facts} facts
 * @param {ReturnType<typeof createLoader>} loader
 * @returns {Promise<import('./world.js').Past[]>}
 */
async function loadStarts({ starts, files, height, width }, loader) {
  const bytes = await inflate(await loader.load('dream/starts.bin', files['starts.bin']));
  const size = 3 * height * width;
  /** @param {number} i */
  const frame = (i) => bytes.slice(i * size, (i + 1) * size);
  return starts.actions.map((actions, start) => ({
    frames: Array.from({ length: starts.frames }, (_, i) => frame(start * starts.frames + i)),
    actions,
  }));
}

/**
 * @param {Facts} facts
 * @param {import('./models.js').Models} models
 * @param {import('./types.js').Settings} settings
 * @returns {import('./types.js').ToPage}
 */
function hello(facts, { name, reason }, settings) {
  const { title, height, width, actions, buttons, keys, ranges, starts } = facts;
  return {
    type: 'hello',
    protocol: PROTOCOL,
    session: null, // nobody else can watch
    driver: true,
    title,
    subtitle: `${facts.subtitle} · on ${name}${reason === null ? '' : `, slower: ${reason}`}`,
    ...{ height, width, actions, buttons, keys },
    real_missing: 'an exported dream comes without the real game',
    starts: starts.count,
    recordings: null,
    ...{ settings, ranges },
  };
}
