/* print.h - what is printed for people: tables, times, sizes. */
#ifndef GLEANER_CLI_PRINT_H
#define GLEANER_CLI_PRINT_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum { COLUMNS_MAX = 8, CELL_SIZE = 96 };

/* To stdout, without its control characters; then `behind`. */
void print_text (const char *text, const char *behind);

/* Rows of cells, as wide as each column needs. */
typedef struct {
    size_t columns;
    size_t rows, cap;
    char (*cells)[CELL_SIZE];
} grid_t;

/* Adds a cell; the first row is the heading. What is too long is cut, control characters become '?'. */
void grid_add (grid_t *self, const char *text);
/* Prints and empties it. */
void grid_print (grid_t *self, FILE *out);

/* "12s", "3m", "5h", "2d": the longest unit. */
void span_format (int64_t ms, char *out, size_t size);
/* "3m ago", or "" for 0. */
void ago_format (int64_t at_ms, int64_t now_ms, char *out, size_t size);
/* "512 B", "1.5 MiB". */
void bytes_format (int64_t bytes, char *out, size_t size);

/* A member's text; "" when there is none. */
const char *text_of (const json_t *object, const char *name);
int64_t number_of (const json_t *object, const char *name);
/* As it came, indented, with a newline. */
void print_json (const json_t *json);
/* The state as people read it: "running", "failed: timeout". */
void state_format (const json_t *job, char *out, size_t size);

#endif
