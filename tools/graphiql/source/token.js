// The token is kept in the tab's own storage, which ends with the tab, and nowhere else.

const KEY = "token";

export const ENDPOINT = window.location.pathname;

export const kept = () => window.sessionStorage.getItem(KEY) ?? "";
export const remember = (token) => window.sessionStorage.setItem(KEY, token);
export const forget = () => window.sessionStorage.removeItem(KEY);

export const authorization = (token) => ({ Authorization: `Bearer ${token}` });

/** Why the server does not take this token; null where it does. */
export async function refusal(token) {
  try {
    const answer = await fetch(ENDPOINT, {
      method: "POST",
      headers: { "Content-Type": "application/json", ...authorization(token) },
      body: JSON.stringify({ query: "{ __typename }" }),
    });
    if (answer.ok) return null;
    const { errors } = await answer.json();
    return answer.status === 401 ? "That is not the right token." : errors[0].message;
  } catch (error) {
    return `The server can't be asked: ${error.message}`;
  }
}
