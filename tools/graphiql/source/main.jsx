// Without the right token there is no schema to show: the page asks for it first, and keeps it for this tab alone.

import { useEffect, useState } from "react";
import { createRoot } from "react-dom/client";

import { forget, kept, refusal, remember } from "./token.js";
import { Workbench } from "./workbench.jsx";
import "graphiql/style.css";
import "./page.css";

function Page() {
  const [token, setToken] = useState(null);
  const leave = () => {
    forget();
    setToken(null);
  };
  return token ? <Workbench token={token} onLeave={leave} /> : <SignIn onAdmitted={setToken} />;
}

function SignIn({ onAdmitted }) {
  const [typed, setTyped] = useState(kept);
  const [said, setSaid] = useState("");

  async function enter(token) {
    setSaid("");
    const reason = await refusal(token);
    if (reason) return setSaid(reason);
    remember(token);
    onAdmitted(token);
  }

  // A reload of the tab goes on where it was.
  useEffect(() => {
    if (typed) enter(typed);
  }, []);

  return (
    <form
      className="sign-in"
      onSubmit={(event) => {
        event.preventDefault();
        enter(typed.trim());
      }}
    >
      <h1>Daybook</h1>
      <label htmlFor="token">The administrator's token</label>
      <input
        id="token"
        type="password"
        autoComplete="off"
        autoFocus
        required
        value={typed}
        onChange={(event) => setTyped(event.target.value)}
      />
      <p>
        It stands in the file <code>admin-token</code> in the data directory. This tab keeps it until it is closed.
      </p>
      <button type="submit">Open GraphiQL</button>
      <p role="alert">{said}</p>
    </form>
  );
}

createRoot(document.getElementById("page")).render(<Page />);
