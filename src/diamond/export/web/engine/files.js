/*
 * The files of this folder, fetched with a word on how far that is.
 */

/**
 * @param {(text: string) => void} tell
 */
export function createLoader(tell) {
  let total = 0;
  let loaded = 0;

  /** @param {number} bytes */
  const megabytes = (bytes) => (bytes / 1e6).toFixed(bytes < 1e7 ? 1 : 0);

  return {
    /**
     * The content of a file.
     * @param {string} path in this folder
     * @param {import('./types.js').Expected} [expected]
     * @returns {Promise<Uint8Array<ArrayBuffer>>}
     * @throws {Error} it is not there, or of another size
     */
    async load(path, expected) {
      total += expected?.bytes ?? 0;
      const response = await fetch(new URL(`../${path}`, import.meta.url));
      if (!response.ok || response.body === null) {
        throw new Error(`${path} is not to be had (${response.status})`);
      }
      const parts = [];
      const reader = response.body.getReader();
      for (let part = await reader.read(); !part.done; part = await reader.read()) {
        parts.push(part.value);
        loaded += part.value.length;
        if (total > 0) tell(`Loading, ${megabytes(loaded)} of ${megabytes(total)} MB`);
      }
      const content = new Uint8Array(await new Blob(parts).arrayBuffer());
      if (expected && content.length !== expected.bytes) {
        throw new Error(
          `${path} has ${content.length} bytes, not ${expected.bytes}: copy it again`,
        );
      }
      return content;
    },
  };
}

/**
 * What zlib compressed.
 * @param {Uint8Array<ArrayBuffer>} content
 */
export async function inflate(content) {
  const stream = new Blob([content]).stream().pipeThrough(new DecompressionStream('deflate'));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}
