// Builds the page from source/ and the pinned packages into api/browser, with the licences of all that is in it.
// The same packages and sources give the same bytes: a test compares the hashes that are noted in built.json.

import { createHash } from "node:crypto";
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";

import { build } from "esbuild";

const HERE = import.meta.dirname;
const THERE = join(HERE, "../../api/browser");

const read = (...path) => readFileSync(join(HERE, ...path), "utf-8");
const sha256 = (content) => createHash("sha256").update(content).digest("hex");

// The fonts that GraphiQL embeds are seven eighths of its style sheet; browsers have fonts of their own.
const withoutFonts = {
  name: "without fonts",
  setup: (build) =>
    build.onLoad({ filter: /node_modules.*\.css$/ }, ({ path }) => ({
      contents: readFileSync(path, "utf-8").replace(/@font-face\s*\{[^}]*\}/g, ""),
      loader: "css",
    })),
};

/** What each package in the bundle is, and its licence in its own words. */
function licences(modules) {
  const found = (path) => path.match(/^(?:.*\/)?node_modules\/(?:@[^/]+\/)?[^/]+/)?.[0];
  const packages = [...new Set(modules.map(found).filter(Boolean))].sort();
  return packages.map((directory) => {
    const { name, version, license, author } = JSON.parse(read(directory, "package.json"));
    const texts = readdirSync(join(HERE, directory)).filter((name) => /^(licen[cs]e|notice)(\.|$)/i.test(name));
    const by = typeof author === "string" ? author : author?.name;
    const text = texts.map((file) => read(directory, file).trim()).join("\n\n") || [license, by].filter(Boolean).join(", by ");
    return { name, version, license, text };
  });
}

const { outputFiles, metafile } = await build({
  absWorkingDir: HERE,
  entryPoints: { graphiql: "source/main.jsx" },
  outdir: "built",
  entryNames: "[name]-[hash]",
  bundle: true,
  minify: true,
  write: false,
  metafile: true,
  target: "es2022",
  jsx: "automatic",
  charset: "utf8",
  legalComments: "none", // a file beside it has them all, in full
  loader: { ".graphql": "text" },
  define: { "process.env.NODE_ENV": '"production"' },
  alias: { "react-style-singleton": "./source/no-injected-styles.js" },
  plugins: [withoutFonts],
});

const parts = licences(Object.values(metafile.outputs).flatMap(({ inputs }) => Object.keys(inputs)));
const assets = Object.fromEntries(outputFiles.map(({ path, contents }) => [basename(path), contents]));
const [css] = Object.keys(assets).filter((name) => name.endsWith(".css"));
const [js] = Object.keys(assets).filter((name) => name.endsWith(".js"));
const terms = parts.map(({ name, version, text }) => `${name} ${version}\n\n${text}\n`).join(`\n${"=".repeat(80)}\n\n`);
const txt = `licences-${sha256(terms).slice(0, 8).toUpperCase()}.txt`;
const page = read("source/page.html").replace("{css}", css).replace("{js}", js).replace("{txt}", txt);
const files = { ...assets, [txt]: terms, "graphiql.html": page };
const sources = ["build.js", "package.json", "package-lock.json"].concat(
  ...["first-steps", "source"].map((folder) => readdirSync(join(HERE, folder)).map((name) => `${folder}/${name}`)),
);
const hashes = (names, content) => Object.fromEntries(names.sort().map((name) => [name, sha256(content(name))]));
const built = {
  from: hashes(sources, (name) => read(name)),
  files: hashes(Object.keys(files), (name) => files[name]),
  packages: Object.fromEntries(parts.map(({ name, version, license }) => [name, `${version}, ${license}`])),
};

rmSync(THERE, { recursive: true, force: true });
mkdirSync(THERE);
for (const [name, content] of Object.entries(files)) writeFileSync(join(THERE, name), content);
writeFileSync(join(THERE, "built.json"), `${JSON.stringify(built, null, 2)}\n`);
