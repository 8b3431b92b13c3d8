/*
 * The networks, on WebGPU where the browser has it and they run on it, else on WebAssembly.
 */

const RUNTIMES = {
  webgpu: {
    name: 'WebGPU',
    module: 'ort.webgpu.bundle.min.js',
    binary: 'ort-wasm-simd-threaded.asyncify.wasm',
  },
  wasm: {
    name: 'WebAssembly',
    module: 'ort.wasm.bundle.min.js',
    binary: 'ort-wasm-simd-threaded.wasm',
  },
};

/** Greatest difference from Python, relative to 1 and the value; rounding makes a hundredth of it. */
const CLOSE = 0.02;

/** @typedef {typeof import('onnxruntime-common')} Runtime */
/** @typedef {ReturnType<typeof import('./files.js').createLoader>} Loader */
/** @typedef {import('./types.js').Facts} Facts */
/** @typedef {import('./world.js').Memory} Memory */

/**
 * @typedef {object} Session a network, whose outputs are all floats
 * @property {(
 *   inputs: Object<string, import('onnxruntime-common').Tensor>,
 * ) => Promise<Object<string, {data: Float32Array}>>} run
 */

/** @typedef {{logits: Float32Array, value: number, memory: Memory}} Look */

/**
 * @typedef {object} Models
 * @property {string} name what they run on
 * @property {?string} reason why that is not WebGPU
 * @property {(
 *   noisy: Float32Array, sigma: number, frames: Float32Array, actions: Int32Array,
 * ) => Promise<Float32Array>} denoise gives the frame before it is snapped to the 256 levels
 * @property {(
 *   frame: Float32Array, action: number, next: Float32Array, memory: Memory,
 * ) => Promise<{reward: Float32Array, termination: Float32Array, memory: Memory}>} judge
 * @property {(frame: Float32Array, memory: Memory) => Promise<Look>} look
 */

/**
 * @param {Facts} facts
 * @param {Loader} loader
 * @param {?string} wanted "wasm" to leave WebGPU alone
 * @returns {Promise<Models>}
 */
export async function openModels(facts, loader, wanted) {
  const names = ['denoiser', 'reward_model', 'actor_critic'];
  /** @param {string} name */
  const load = (name) => loader.load(`dream/${name}.onnx`, facts.files[`${name}.onnx`]);
  const loading = Promise.all(names.map(load));
  loading.catch(() => {}); // whoever awaits it hears of it
  let reason = await whyNoWebGPU(wanted);
  if (reason === null) {
    try {
      return await start('webgpu', facts, loader, await loading, reason);
    } catch (error) {
      console.warn('WebGPU failed', error);
      reason = 'WebGPU does not work here';
    }
  }
  return start('wasm', facts, loader, await loading, reason);
}

/** @param {?string} wanted */
async function whyNoWebGPU(wanted) {
  if (wanted === 'wasm') return 'as the address asks for';
  const adapter = await navigator.gpu?.requestAdapter().catch(() => null);
  return adapter ? null : 'this browser offers no WebGPU here';
}

/**
 * @param {keyof typeof RUNTIMES} kind
 * @param {Facts} facts
 * @param {Loader} loader
 * @param {Uint8Array[]} contents of the networks' files
 * @param {?string} reason
 * @returns {Promise<Models>}
 */
async function start(kind, facts, loader, contents, reason) {
  const { name, module, binary } = RUNTIMES[kind];
  const [ort, wasmBinary] = await Promise.all([
    /** @type {Promise<Runtime>} */ (import(`../runtime/${module}`)),
    loader.load(`runtime/${binary}`, facts.runtime.files[binary]),
  ]);
  ort.env.wasm.wasmBinary = wasmBinary;
  ort.env.wasm.numThreads = 1; // more need headers that most static hosts do not send
  ort.env.logLevel = 'error';
  const sessions = [];
  /** @type {import('onnxruntime-common').InferenceSession.SessionOptions} */
  const options = { executionProviders: [kind], logSeverityLevel: 3 };
  for (const content of contents) {
    const session = await ort.InferenceSession.create(content, options);
    sessions.push(/** @type {Session} */ (/** @type {unknown} */ (session)));
  }
  const models = { name, reason, ...asFunctions(ort, facts, sessions) };
  await tryOut(facts, models);
  return models;
}

/**
 * @param {Runtime} ort
 * @param {Facts} facts
 * @param {Session[]} sessions
 * @returns {Pick<Models, 'denoise'|'judge'|'look'>}
 */
function asFunctions(ort, { context_length: length, height, width }, sessions) {
  const [denoiser, rewardModel, actorCritic] = sessions;
  /**
   * @param {Float32Array} values
   * @param {...number} shape
   */
  const floats = (values, ...shape) => new ort.Tensor('float32', values, shape);
  /**
   * @param {Int32Array} values
   * @param {...number} shape
   */
  const whole = (values, ...shape) => new ort.Tensor('int32', values, shape);
  /** @param {Float32Array} values */
  const image = (values) => floats(values, 1, 3, height, width);
  /** @param {Memory} memory */
  const state = ({ hidden, cell }) => ({
    hidden: floats(hidden, 1, hidden.length),
    cell: floats(cell, 1, cell.length),
  });
  /** @param {Awaited<ReturnType<Session['run']>>} outputs */
  const memoryIn = ({ next_hidden, next_cell }) => ({
    hidden: next_hidden.data,
    cell: next_cell.data,
  });

  return {
    async denoise(noisy, sigma, frames, actions) {
      const inputs = {
        noisy: image(noisy),
        sigma: floats(Float32Array.of(sigma), 1),
        frames: floats(frames, 1, length, 3, height, width),
        actions: whole(actions, 1, length),
      };
      return (await denoiser.run(inputs)).denoised.data;
    },
    async judge(frame, action, next, memory) {
      const inputs = {
        frame: image(frame),
        action: whole(Int32Array.of(action), 1),
        next_frame: image(next),
        ...state(memory),
      };
      const outputs = await rewardModel.run(inputs);
      const { reward, termination } = outputs;
      return { reward: reward.data, termination: termination.data, memory: memoryIn(outputs) };
    },
    async look(frame, memory) {
      const outputs = await actorCritic.run({ frame: image(frame), ...state(memory) });
      const { logits, value } = outputs;
      return { logits: logits.data, value: value.data[0], memory: memoryIn(outputs) };
    },
  };
}

/**
 * Runs each network once, on a pattern of which Python has written down what they say: what a
 * browser cannot do shows here, even where it does not know it.
 * @param {Facts} facts
 * @param {Models} models
 */
async function tryOut({ context_length: length, height, width, memory, trial }, models) {
  const size = 3 * height * width;
  /**
   * @param {unknown} _
   * @param {number} i
   */
  const pattern = (_, i) => ((7919 * i) % 256) / 127.5 - 1;
  const frames = Float32Array.from({ length: length * size }, pattern);
  const [oldest, newest] = [frames.slice(0, size), frames.slice(-size)];
  /** @param {number} count */
  const blank = (count) => ({ hidden: new Float32Array(count), cell: new Float32Array(count) });
  const said = {
    denoised: await models.denoise(newest, 1, frames, new Int32Array(length)),
    ...(await models.judge(newest, 0, oldest, blank(memory.reward_model))),
    ...(await models.look(newest, blank(memory.actor_critic))),
  };
  for (const name of /** @type {(keyof Facts['trial'])[]} */ (Object.keys(trial))) {
    const values = said[name];
    const isClose = trial[name].every(
      (value, i) => Math.abs(values[i] - value) <= CLOSE * (1 + Math.abs(value)),
    );
    if (!isClose) throw new Error(`${name} is not what it is in Python`);
  }
}
