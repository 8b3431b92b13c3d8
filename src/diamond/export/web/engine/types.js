/*
 * What passes between the page, this thread and the exported files, as types for reading.
 */

/**
 * @typedef {object} Facts what dream.json says
 * @property {string} title
 * @property {string} subtitle
 * @property {number} height
 * @property {number} width
 * @property {number} context_length frames that the networks see
 * @property {import('../protocol.js').Action[]} actions
 * @property {string[]} buttons
 * @property {Object<string, string>} keys from KeyboardEvent's code to button
 * @property {Settings} settings at first
 * @property {Ranges} ranges
 * @property {Omit<import('./sampler.js').Sampler, 'num_steps'|'order'|'s_churn'>} sampler
 * @property {boolean} published whether the denoiser computes as the published code does
 * @property {{reward_model: number, actor_critic: number}} memory sizes
 * @property {{count: number, frames: number, actions: number[][]}} starts
 * @property {Object<string, Expected>} files
 * @property {{files: Object<string, Expected>}} runtime
 * @property {Record<'denoised'|'reward'|'termination'|'logits', number[]>} trial what the networks
 *   say of a pattern, in Python
 */

/** @typedef {{bytes: number}} Expected what is known of a file */
/** @typedef {import('../protocol.js').Settings} Settings */
/** @typedef {import('../protocol.js').Hello['ranges']} Ranges */

/**
 * @typedef {(
 *   | import('../protocol.js').Message
 *   | ({type: 'frame'} & import('../protocol.js').Frame)
 *   | {type: 'loading', text: string}
 *   | {type: 'failed', message: string}
 * )} ToPage
 */

/** @typedef {import('../protocol.js').Request | {type: 'hidden', hidden: boolean}} FromPage */

export {};
