#include "glob.h"

#include <stddef.h>
#include <string.h>

/* ---- one component ---- */

/* Bytes of the UTF-8 character at `at`; 1 for a byte that begins none. */
static size_t character (const char *at, const char *end)
{
    size_t len = 1;
    while (at + len < end && ((unsigned char)at[len] & 0xc0) == 0x80 && (unsigned char)*at >= 0xc0)
        len++;
    return len;
}

/* UTF-8 sorts as the characters do, so that a range needs no decoding. */
static int compare (const char *a, size_t a_len, const char *b, size_t b_len)
{
    int order = memcmp (a, b, a_len < b_len ? a_len : b_len);
    return order ? order : (a_len > b_len) - (a_len < b_len);
}

/* Where the set that begins behind the '[' at `at` ends: its ']'. NULL when it has none: then '[' is a plain one. */
static const char *set_end (const char *at, const char *end)
{
    at++;
    if (at < end && (*at == '!' || *at == '^'))
        at++;
    if (at < end && *at == ']') /* the first one is a member */
        at++;
    while (at < end && *at != ']')
        at++;
    return at < end ? at : NULL;
}

static bool set_has (const char *at, const char *close, const char *one, size_t one_len)
{
    bool inverted = *at == '!' || *at == '^';
    bool found = false;
    for (at += inverted; at < close;) {
        const char *first = at;
        size_t first_len = character (at, close);
        const char *last = first;
        size_t last_len = first_len;
        at += first_len;
        if (at + 1 < close && *at == '-') {
            last = at + 1;
            last_len = character (last, close);
            at = last + last_len;
        }
        found = found || (compare (first, first_len, one, one_len) <= 0 && compare (one, one_len, last, last_len) <= 0);
    }
    return found != inverted;
}

/* Matches one character, or a set; moves both on. */
static bool match_one (const char **pattern, const char *pattern_end, const char **text, const char *text_end)
{
    size_t text_len = character (*text, text_end);
    const char *close = **pattern == '[' ? set_end (*pattern, pattern_end) : NULL;
    bool same;
    size_t used;
    if (close) {
        same = set_has (*pattern + 1, close, *text, text_len);
        used = (size_t)(close + 1 - *pattern);
    } else {
        used = character (*pattern, pattern_end);
        same = **pattern == '?' || compare (*pattern, used, *text, text_len) == 0;
    }
    *pattern += used;
    *text += text_len;
    return same;
}

/* A star that went too far short is tried again one character later; only the last star can be. */
static bool match_component (const char *pattern, size_t pattern_len, const char *text, size_t text_len)
{
    const char *pattern_end = pattern + pattern_len;
    const char *text_end = text + text_len;
    const char *star = NULL;
    const char *mark = NULL;
    while (pattern < pattern_end || text < text_end) {
        if (pattern < pattern_end && *pattern == '*') {
            star = ++pattern;
            mark = text;
            continue;
        }
        if (pattern < pattern_end && text < text_end && match_one (&pattern, pattern_end, &text, text_end))
            continue;
        if (!star || mark >= text_end)
            return false;
        mark += character (mark, text_end);
        pattern = star;
        text = mark;
    }
    return true;
}

/* ---- paths ---- */

static bool is_any_folders (const char *at, size_t len)
{
    return len == 2 && at[0] == '*' && at[1] == '*';
}

/* Moves on to the next component that says something: not empty, not "."; its length, 0 at the end. */
static size_t component (const char **at)
{
    for (;;) {
        *at += strspn (*at, "/");
        size_t len = strcspn (*at, "/");
        if (len != 1 || **at != '.')
            return len;
        *at += 1;
    }
}

/* True when a component's end at `at` leaves a path that must have something below it. */
static bool wants_more (const char *pattern, size_t len)
{
    return is_any_folders (pattern, len) || pattern[len] == '/';
}

bool glob_match (const char *pattern, const char *path)
{
    const char *star = NULL; /* behind the last "**", tried again one folder further down */
    const char *mark = NULL;
    bool more = false; /* the last component was "x/" or "**": the path must go on */
    for (;;) {
        size_t len = component (&pattern);
        size_t name_len = component (&path);
        if (!len && (name_len || !more))
            return true;
        if (!name_len)
            return false; /* further down there would be even less */
        if (is_any_folders (pattern, len)) {
            more = true;
            pattern += len;
            star = pattern;
            mark = path;
        } else if (match_component (pattern, len, path, name_len)) {
            more = wants_more (pattern, len);
            pattern += len;
            path += name_len;
        } else if (star) {
            size_t skipped = component (&mark);
            mark += skipped;
            pattern = star;
            path = mark;
        } else {
            return false;
        }
    }
}

bool glob_safe (const char *pattern)
{
    if (!*pattern || *pattern == '/')
        return false;
    for (const char *at = pattern; *at; at++)
        if ((unsigned char)*at < ' ' || *at == 0x7f || *at == '\\')
            return false;
    for (const char *at = pattern; *at; at += *at == '/') {
        size_t len = strcspn (at, "/");
        if (len == 2 && at[0] == '.' && at[1] == '.')
            return false;
        at += len;
    }
    return true;
}
