// Mercurius with graphql-jit over rows in memory: no database at all. Says its port when it is ready.
import { readFileSync } from "node:fs";
import fastify from "fastify";
import mercurius from "mercurius";

const { schema, customers } = JSON.parse(readFileSync(process.argv[2], "utf8"));

const nodes = (of) => (parent, { first }) => ({ nodes: parent[of].nodes.slice(0, first) });
const resolvers = {
  Query: {
    customers: (_, { first }) => ({ nodes: customers.slice(0, first) }),
    customer: (_, { id }) => customers.find((one) => one.id === id) ?? null,
  },
  Customer: { opportunities: nodes("opportunities"), tickets: nodes("tickets") },
};

const app = fastify();
await app.register(mercurius, { schema, resolvers, jit: 1, path: "/graphql" });
await app.listen({ port: 0, host: "127.0.0.1" });
console.log(`http://127.0.0.1:${app.server.address().port}`);
