import { describe, expect, it } from "vitest";
import { advice, adviceOn, numbered, tokenize } from "../src/lib/shell";

const kinds = (text: string) => tokenize(text).tokens.filter((token) => token.text.trim()).map((token) => `${token.kind}:${token.text.trim()}`);

describe("tokenize", () => {
  it("loses nothing", () => {
    const lines = [
      "make -j\"$(nproc)\" && ./run.sh --x 'a b' > out.log 2>&1 # why",
      'echo "a \\" $X ${Y:-"z"} $(ls "b")" `date`; A=1 B="2 3" cmd',
      "for i in 1 2; do echo $i; done",
      "echo 'open",
      "$(", "${", "`", "\\", "\"$", "a=", "  ", "", "é ∑ 🚀 'ü'", "((1+2))", "case x in y) z;; esac",
    ];
    for (const line of lines) expect(tokenize(line).tokens.map((token) => token.text).join("")).toBe(line);
  });
  it("finds the command behind assignments, operators and keywords", () => {
    expect(kinds("A=1 make test")).toEqual(["variable:A=", "plain:1", "command:make", "plain:test"]);
    expect(kinds("a | b && c; d")).toEqual(["command:a", "operator:|", "command:b", "operator:&&", "command:c", "operator:;", "command:d"]);
    expect(kinds("if true; then ls; fi")).toEqual(["keyword:if", "command:true", "operator:;", "keyword:then", "command:ls", "operator:;", "keyword:fi"]);
    expect(kinds("for i in a; do ls; done")[0]).toBe("keyword:for");
  });
  it("knows strings, variables, comments and options", () => {
    expect(kinds("echo 'a $X'")).toEqual(["command:echo", "string:'a $X'"]);
    expect(kinds('echo "a $X b"')).toEqual(["command:echo", 'string:"a', "variable:$X", 'string:b"']);
    expect(kinds("echo $1 ${A} $(b c) `d`")).toEqual(["command:echo", "variable:$1", "variable:${A}", "variable:$(b c)", "variable:`d`"]);
    expect(kinds("ls --all # x")).toEqual(["command:ls", "option:--all", "comment:# x"]);
    expect(kinds("echo a#b")).toEqual(["command:echo", "plain:a#b"]);
    expect(kinds("echo if")).toEqual(["command:echo", "plain:if"]);
  });
  it("tells what is open", () => {
    expect(tokenize("echo 'a").open).toBe("'");
    expect(tokenize('echo "a').open).toBe('"');
    expect(tokenize("echo $(ls").open).toBe("$(");
    expect(tokenize("echo ${A").open).toBe("${");
    expect(tokenize("echo \\' \\\"").open).toBe("");
    expect(tokenize("# it's").open).toBe("");
  });
});

describe("advice", () => {
  it("says what a line cannot do", () => {
    expect(adviceOn("echo 'a")).toMatch(/not closed/);
    expect(adviceOn("make \\")).toMatch(/ends with its line/);
    expect(adviceOn("cat <<EOF")).toMatch(/here-document/);
    expect(adviceOn("cd demo")).toMatch(/own line only/);
    expect(adviceOn("export A=1")).toMatch(/own line only/);
  });
  it("keeps quiet otherwise", () => {
    for (const line of ["cd demo && make", "make", "echo \\\\", "# cd x", "echo cd", "(cd x; ls)", "cat <<<x", "export A=1; ls", "", "# a \\"])
      expect(adviceOn(line), line).toBeNull();
  });
  it("counts commands as the job does", () => {
    expect(numbered("a\n\n b\n").map((line) => line.number)).toEqual([1, 0, 2, 0]);
    expect(advice("ls\n\ncd x\ncd y\ncd z\ncd w").map((hint) => hint.number)).toEqual([2, 3, 4]);
  });
});
