/* reference.c - prints the reference of all messages and errors as Markdown, from the tables that the code runs on. */
#include <stdio.h>

#include "message.h"

static const char *type_name (const field_spec_t *field)
{
    static const char *const names[] = { "text", "bytes", "integer", "unsigned", "decimal",
                                         "bool", "map",   "texts",   "map",      "list" };
    return names[field->type];
}

static void print_limit (const field_spec_t *field)
{
    switch (field->type) {
    case FIELD_STR:
    case FIELD_BYTES:
    case FIELD_MAP:
    case FIELD_TEXTS:
    case FIELD_ROWS:
        printf ("%lld bytes", (long long)field->limit);
        break;
    case FIELD_INT:
        printf ("± %lld", (long long)field->limit);
        break;
    case FIELD_UINT:
        printf ("%lld", (long long)field->limit);
        break;
    case FIELD_DECIMAL:
        printf ("%lld", (long long)field->limit / 100);
        break;
    case FIELD_LIST:
        printf ("%lld × `%s`", (long long)field->limit, message_spec (field->item)->wire);
        break;
    case FIELD_BOOL:
        break;
    }
}

static void print_message (const message_spec_t *spec)
{
    printf ("#### `%s`\n\n%s\n\n", spec->wire, spec->doc);
    if (!spec->field_count)
        return;
    printf ("| field | type | limit | needed | meaning |\n|---|---|---|---|---|\n");
    for (size_t i = 0; i < spec->field_count; i++) {
        const field_spec_t *field = &spec->fields[i];
        printf ("| `%s` | %s | ", field->name, type_name (field));
        print_limit (field);
        printf (" | %s | %s |\n", field->need == REQUIRED ? "yes" : "", field->doc);
    }
    printf ("\n");
}

int main (void)
{
    printf ("### Messages\n\n");
    for (int type = 0; type < MSG_COUNT; type++)
        print_message (message_spec ((msg_type_t)type));
    printf ("### Errors\n\n| code | HTTP | again later? | sentence |\n|---|---|---|---|\n");
    for (int err = 1; err < ERR_COUNT; err++) {
        const error_row_t *row = error_row ((err_t)err);
        printf ("| `%s` | %d | %s | %s |\n", row->code, row->http_status, row->retryable ? "yes" : "", row->text);
    }
    return ferror (stdout) || fflush (stdout) ? 1 : 0;
}
