import { createGraphiQLFetcher } from "@graphiql/toolkit";
import { GraphiQL } from "graphiql";
import { createClient } from "graphql-ws";
import { useEffect, useMemo } from "react";

import mutation from "../first-steps/mutation.graphql";
import query from "../first-steps/query.graphql";
import subscription from "../first-steps/subscription.graphql";
import { authorization, ENDPOINT } from "./token.js";

// Browsers make UUIDs on secure origins only: https, and this machine's own names.
const newKey = () => window.crypto.randomUUID?.() ?? "a new random UUID";
const registration = () => ({ new: { idempotencyKey: newKey(), kind: "PERSON", name: "Ada Lovelace" } });

const firstSteps = () => [
  { query },
  { query: mutation, variables: JSON.stringify(registration(), null, 2) },
  { query: subscription },
];

/** GraphiQL on this server. What is typed and run may hold personal data: like the token, it ends with the tab. */
export function Workbench({ token, onLeave }) {
  // Without retries: after a lost connection, a feed would silently begin again where it once began.
  const live = useMemo(() => {
    const url = new URL(ENDPOINT, window.location.href.replace(/^http/, "ws"));
    return createClient({ url: url.href, connectionParams: authorization(token), retryAttempts: 0 });
  }, [token]);
  useEffect(() => () => live.dispose(), [live]);
  const fetcher = useMemo(
    () =>
      createGraphiQLFetcher({
        url: ENDPOINT,
        headers: authorization(token),
        wsClient: live,
        enableIncrementalDelivery: false,
      }),
    [token, live],
  );
  const tabs = useMemo(firstSteps, []);

  return (
    <GraphiQL
      fetcher={fetcher}
      storage={window.sessionStorage}
      shouldPersistHeaders={false}
      defaultTabs={tabs}
      defaultEditorToolsVisibility="variables"
      inputValueDeprecation
      schemaDescription
    >
      <GraphiQL.Logo>
        Daybook
        <button type="button" className="graphiql-un-styled leave" onClick={onLeave}>
          Forget the token
        </button>
      </GraphiQL.Logo>
    </GraphiQL>
  );
}
