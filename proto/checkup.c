#include "checkup.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const char *const words[] = { [CHECK_OK] = "ok", [CHECK_WARN] = "warn", [CHECK_FAIL] = "FAIL" };
static const char *const json_words[] = { [CHECK_OK] = "ok", [CHECK_WARN] = "warn", [CHECK_FAIL] = "fail" };

void checkup_begin (checkup_t *self, bool json)
{
    *self = (checkup_t){ .list = json ? json_array () : NULL };
}

static void tell (checkup_t *self, check_t state, const char *name, const char *text)
{
    self->fails += state == CHECK_FAIL;
    if (!self->list) {
        printf ("%-4s  %-*s %s\n", words[state], CHECKUP_NAME_MAX, name, text);
        fflush (stdout); /* some things take seconds to find out */
        return;
    }
    json_t *item = json_pack ("{s:s, s:s, s:s}", "state", json_words[state], "name", name, "text", text);
    if (!item)
        item = json_pack ("{s:s, s:s, s:s}", "state", json_words[state], "name", name, "text", "(not UTF-8)");
    json_array_append_new (self->list, item);
}

void checkup_say (checkup_t *self, check_t state, const char *name, const char *format, ...)
{
    char text[CHECKUP_TEXT_MAX];
    va_list args;
    va_start (args, format);
    vsnprintf (text, sizeof text, format, args);
    va_end (args);
    for (unsigned char *at = (unsigned char *)text; *at; at++)
        if (*at == 0xc2 && at[1] >= 0x80 && at[1] < 0xa0) /* C1, in UTF-8 */
            at[0] = at[1] = '?';
        else if (iscntrl (*at))
            *at = '?';
    tell (self, state, name, text);
}

bool checkup_take (checkup_t *self, const char *line)
{
    char word[8];
    char name[CHECKUP_NAME_MAX + 1];
    int behind = 0;
    if (sscanf (line, "%7s %10s %n", word, name, &behind) != 2 || !behind || !line[behind])
        return false;
    for (check_t state = CHECK_OK; state <= CHECK_FAIL; state++)
        if (strcmp (word, words[state]) == 0) {
            checkup_say (self, state, name, "%.*s", (int)strcspn (line + behind, "\n"), line + behind);
            return true;
        }
    return false;
}

bool checkup_end (checkup_t *self)
{
    if (self->list) {
        json_t *all = json_pack ("{s:b, s:o}", "good", self->fails == 0, "checks", self->list);
        json_dumpf (all, stdout, JSON_INDENT (2));
        putchar ('\n');
        json_decref (all);
        self->list = NULL;
    }
    return self->fails == 0;
}
