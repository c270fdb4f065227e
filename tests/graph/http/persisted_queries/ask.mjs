// Asks a server twice through a client's persisted queries and prints the answers and what was sent, as JSON.
// node ask.mjs <folder with node_modules> <address of the endpoint> <apollo or urql> <GET or POST>
import { createHash } from "node:crypto";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const [modules, url, client, method] = process.argv.slice(2);
const load = createRequire(pathToFileURL(`${modules}/package.json`));
const useGET = method === "GET";
const sent = [];

async function noted(address, options) {
  const search = new URL(address).searchParams;
  const body = options.body ? JSON.parse(options.body) : Object.fromEntries(search);
  sent.push({ method: options.method, document: Boolean(body.query), hash: "extensions" in body });
  return fetch(address, options);
}

function apollo() {
  const { ApolloClient, ApolloLink, HttpLink, InMemoryCache, gql } = load("@apollo/client/core");
  const { createPersistedQueryLink } = load("@apollo/client/link/persisted-queries");
  const sha256 = (text) => createHash("sha256").update(text).digest("hex");
  const hashed = createPersistedQueryLink({ sha256, useGETForHashedQueries: useGET });
  const link = ApolloLink.from([hashed, new HttpLink({ uri: url, fetch: noted })]);
  const asking = new ApolloClient({ link, cache: new InMemoryCache() });
  return (query) => asking.query({ query: gql(query), fetchPolicy: "no-cache" });
}

function urql() {
  const { createClient, fetchExchange } = load("@urql/core");
  const { persistedExchange } = load("@urql/exchange-persisted");
  const exchanges = [persistedExchange({ preferGetForPersistedQueries: useGET }), fetchExchange];
  const asking = createClient({ url, exchanges, fetch: noted, preferGetMethod: false });
  return (query) => asking.query(query, {}).toPromise();
}

const ask = { apollo, urql }[client]();
const answers = [];
for (const query of ["query A { viewer { role } }", "query B { viewer { role } }"]) {
  const { data, error, errors } = await ask(query);
  answers.push(error || errors ? String(error ?? errors[0].message) : data.viewer.role);
}
console.log(JSON.stringify({ answers, sent }));
