/*
 * Where the server answers, and asking it for what does not come by itself.
 */

/**
 * An address beside this page's own, with the token that the server may want to see.
 * @param {string} path
 * @returns {URL}
 */
export function addressOf(path) {
  const token = new URLSearchParams(location.search).get('token');
  const address = new URL(path, location.href);
  if (token !== null) address.searchParams.set('token', token);
  return address;
}

/**
 * Asks for what lies at this path.
 * @template Content
 * @param {string} path
 * @param {(response: Response) => Promise<Content>} read
 * @returns {Promise<Content>}
 * @throws {Error} with a text for the player
 */
export async function ask(path, read) {
  let problem = 'The server does not answer. Is it still running?';
  try {
    const response = await fetch(addressOf(path));
    if (response.ok) return await read(response);
    problem = (await response.text()) || `The server answered with an error, ${response.status}.`;
  } catch {
    // Not reached, or the line broke in the middle of an answer.
  }
  throw new Error(problem);
}
