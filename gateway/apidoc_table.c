#include <string.h>

#include "gateway/apidoc.h"

static const route_doc_t docs[] = {
#define DOC_BEGIN(of_method, of_path, of_tag, of_summary, of_doc)                                                      \
    {                                                                                                                  \
        .method = (of_method), .path = (of_path), .tag = (of_tag), .summary = (of_summary), .doc = (of_doc),           \
        .parts = (const doc_part_t[])                                                                                  \
        {
#define DOC_PART(...) { __VA_ARGS__ },
#define DOC_END                                                                                                        \
    {                                                                                                                  \
        .kind = DOC_IS_END                                                                                             \
    }                                                                                                                  \
    }                                                                                                                  \
    }                                                                                                                  \
    ,
#include "gateway/routes_doc.def"
};

static const doc_pair_t tags[] = {
#define DOC_TAG(name, doc) { name, doc },
#include "gateway/routes_doc.def"
};

static const doc_pair_t examples[] = {
#define DOC_EXAMPLE(name, json) { name, json },
#include "gateway/routes_doc.def"
};

const route_doc_t *route_doc_at (size_t at)
{
    return at < sizeof docs / sizeof docs[0] ? &docs[at] : NULL;
}

const doc_pair_t *doc_tag_at (size_t at)
{
    return at < sizeof tags / sizeof tags[0] ? &tags[at] : NULL;
}

const doc_pair_t *doc_example_at (size_t at)
{
    return at < sizeof examples / sizeof examples[0] ? &examples[at] : NULL;
}

const doc_part_t *doc_next (const route_doc_t *doc, doc_kind_t kind, const doc_part_t *after)
{
    for (const doc_part_t *part = after ? after + 1 : doc->parts; part->kind != DOC_IS_END; part++)
        if (part->kind == kind)
            return part;
    return NULL;
}

bool doc_hides (const route_doc_t *doc, const char *field)
{
    if (strcmp (field, "remoteAddr") == 0) /* the gateway's own word, never the client's */
        return true;
    const doc_part_t *part = NULL;
    while ((part = doc_next (doc, DOC_IS_HIDE, part)))
        if (strcmp (part->name, "*") == 0 || strcmp (part->name, field) == 0)
            return true;
    return false;
}

static size_t entries_of (const route_t *route)
{
    size_t count = 0;
    for (size_t at = 0; at < sizeof docs / sizeof docs[0]; at++)
        count += docs[at].method == route->method && strcmp (docs[at].path, route->path) == 0;
    return count;
}

void apidoc_check (buf_t *faults)
{
    char method[64];
    for (size_t at = 0; at + 1 < routes_count (); at++) {
        const route_t *route = route_at (at);
        methods_format (route->method, method, sizeof method);
        size_t count = entries_of (route);
        if (count != 1)
            buf_printf (faults, "%s %s has %zu entries in gateway/routes_doc.def; it must have one.\n", method,
                        route->path, count);
    }
    for (size_t at = 0; at < sizeof docs / sizeof docs[0]; at++) {
        size_t found = 0;
        for (size_t of = 0; of + 1 < routes_count (); of++)
            found += route_at (of)->method == docs[at].method && strcmp (route_at (of)->path, docs[at].path) == 0;
        methods_format (docs[at].method, method, sizeof method);
        if (!found)
            buf_printf (faults, "gateway/routes_doc.def tells of %s %s, which routes.c does not have.\n", method,
                        docs[at].path);
    }
}
