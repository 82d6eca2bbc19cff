import { readFileSync } from "node:fs";
import { expect, test } from "vitest";

interface LockedPackage {
  version?: string;
  optionalDependencies?: Record<string, string>;
}

const lock = JSON.parse(readFileSync(new URL("../../package-lock.json", import.meta.url), "utf8")) as {
  packages: Record<string, LockedPackage>;
};

test("package-lock.json names the packages of every platform: npm ci refuses one that does not", () => {
  const paths = Object.keys(lock.packages);
  const missing = Object.entries(lock.packages).flatMap(([path, { optionalDependencies = {} }]) =>
    Object.keys(optionalDependencies)
      .filter(
        (name) =>
          !paths.some((other) => other === `node_modules/${name}` || other.endsWith(`/node_modules/${name}`)),
      )
      .map((name) => `${path} -> ${name}`),
  );
  expect(missing).toEqual([]);
});

test("package-lock.json gives the digest of everything that a Linux machine installs", () => {
  const unsigned = Object.entries(lock.packages).filter(
    ([path, entry]) => path !== "" && !("integrity" in entry) && !/android|darwin|win32|musl/.test(path),
  );
  expect(unsigned.map(([path]) => path)).toEqual([]);
});
