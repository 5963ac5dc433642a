/* gleaner-api - prints the HTTP API as the tables have it: `json` an OpenAPI document, `page` the reference page in
 * Markdown; `check` says which routes are not told, and ends with 1 when there are any. */
#include <stdio.h>
#include <string.h>

#include "gateway/apidoc.h"

int main (int argc, char **argv)
{
    buf_t out = { 0 };
    apidoc_check (&out);
    if (out.len) {
        fprintf (stderr, "%.*s", (int)out.len, out.ptr);
        buf_fini (&out);
        return 1;
    }
    const char *what = argc == 2 ? argv[1] : "";
    if (strcmp (what, "check") == 0)
        return 0;
    if (strcmp (what, "json") != 0 && strcmp (what, "page") != 0) {
        fprintf (stderr, "usage: gleaner-api json|page|check\n");
        return 2;
    }
    json_t *document = apidoc_make ();
    if (strcmp (what, "json") == 0) {
        json_dumpf (document, stdout, JSON_INDENT (1));
        printf ("\n");
    } else {
        apidoc_page (document, &out);
        fwrite (out.ptr, 1, out.len, stdout);
    }
    json_decref (document);
    buf_fini (&out);
    return ferror (stdout) || fflush (stdout) ? 1 : 0;
}
