import { describe, expect, it } from "vitest";
import { href, parseRoute } from "../src/router";

describe("addresses", () => {
  it("lead to pages", () => {
    expect(parseRoute("").name).toBe("run");
    expect(parseRoute("#/").name).toBe("run");
    expect(parseRoute("#/jobs").name).toBe("jobs");
    expect(parseRoute("#/workers?text=a").query.get("text")).toBe("a");
    expect(parseRoute("#/jobs/job-1-a?line=3").id).toBe("job-1-a");
    expect(parseRoute("#/jobs/job-1-a?line=3").query.get("line")).toBe("3");
  });
  it("that name nothing are told apart", () => {
    for (const lost of ["#/nothing", "#/jobs/a/b", "#/run/x", "#/jobs/%zz"]) expect(parseRoute(lost).name).toBe("lost");
  });
  it("keep any id whole", () => {
    const id = "job/../<script>&?#%";
    expect(parseRoute(href("job", id, { line: "1" })).id).toBe(id);
  });
  it("leave empty values out", () => {
    expect(href("jobs", "", { state: "", text: "a b" })).toBe("#/jobs?text=a+b");
    expect(href("jobs")).toBe("#/jobs");
  });
});
