// Runs every audit of graphql-http against a server and prints the results as JSON.
// node audit.mjs <folder with node_modules> <address of the endpoint>
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const [modules, url] = process.argv.slice(2);
const { serverAudits } = createRequire(pathToFileURL(`${modules}/package.json`))("graphql-http");

const results = [];
for (const audit of serverAudits({ url })) {
  const { status, reason } = await audit.fn();
  results.push({ id: audit.id, name: audit.name, status, reason });
}
console.log(JSON.stringify(results));
