// Follows a subscription with graphql-ws and prints each result, and each closing of a socket, as a line of JSON.
// node follow.mjs <folder with node_modules> <address of the endpoint> <JSON of query, variables and tokens>
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const [modules, url, given] = process.argv.slice(2);
const require = createRequire(pathToFileURL(`${modules}/package.json`));
const { createClient } = require("graphql-ws");
const { query, variables, tokens } = JSON.parse(given);
const print = (value) => console.log(JSON.stringify(value));

const client = createClient({
  url,
  webSocketImpl: require("ws"),
  // Asked anew for each connection: the next token takes over when one is not accepted any more.
  connectionParams: () => ({ Authorization: `Bearer ${tokens.length > 1 ? tokens.shift() : tokens[0]}` }),
  retryWait: () => new Promise((resolve) => setTimeout(resolve, 50)),
  on: { closed: ({ code, reason }) => print({ closed: code, reason }) },
});

try {
  for await (const result of client.iterate({ query, variables })) print(result);
  print("complete");
} catch (error) {
  print({ failed: error.code ?? error.map?.(({ extensions }) => extensions) ?? String(error) });
}
await client.dispose();
