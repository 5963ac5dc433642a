import { describe, expect, it } from "vitest";
import { ago, bytes, duration, exact, jobTitle, plural, shortId } from "../src/lib/format";

describe("formats", () => {
  it("sizes", () => {
    expect(bytes(0)).toBe("0 B");
    expect(bytes(1023)).toBe("1023 B");
    expect(bytes(1536)).toBe("1.5 KiB");
    expect(bytes(200 * 1024 * 1024)).toBe("200 MiB");
    expect(bytes(2 ** 60)).toBe("1024 PiB");
  });
  it("spans", () => {
    expect(duration(-5)).toBe("0 ms");
    expect(duration(840)).toBe("840 ms");
    expect(duration(3210)).toBe("3.2 s");
    expect(duration(9960)).toBe("10 s");
    expect(duration(59_600)).toBe("1 min");
    expect(duration(250_000)).toBe("4 min 10 s");
    expect(duration(2 * 3_600_000 + 5 * 60_000)).toBe("2 h 5 min");
    expect(duration(76 * 3_600_000)).toBe("3 d 4 h");
  });
  it("how long ago", () => {
    expect(ago(1000, 2000)).toBe("just now");
    expect(ago(0, 65_000)).toBe("1 min ago");
    expect(ago(7_200_000, 0)).toBe("in 2 h");
  });
  it("the exact time has milliseconds and the zone", () => {
    expect(exact(1795644000123)).toMatch(/^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.123 [+-]\d\d:\d\d$/);
  });
  it("names of jobs", () => {
    expect(jobTitle({ jobId: "job-1-a", name: " ", command: "\n make test\nls" })).toBe("make test");
    expect(jobTitle({ jobId: "job-1-a", name: "nightly", command: "x" })).toBe("nightly");
    expect(jobTitle({ jobId: "job-1-a", command: "" })).toBe("job-1-a");
    expect(shortId("job-1705329400000-abc123xyz")).toBe("abc123xyz");
    expect(plural(1, "job")).toBe("1 job");
    expect(plural(1200, "job")).toBe("1,200 jobs");
  });
});
