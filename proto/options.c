#include "options.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "buf.h"
#include "nearest.h"
#include "options_internal.h"

enum {
    CONFIG_BYTES_MAX = 1024 * 1024, /* a config file; a longer one is refused */
    EXIT_USAGE = 2,
};
#define CHECK_CONFIG "--check-config"

/* Where a value stood, for the sentence that refuses it. */
typedef struct {
    const option_table_t *table;
    char *options;
    char where[512];
    uint64_t given; /* bit a row: the command line has named it; those from 64 on count as new each time */
    char *problem;  /* NULL: it is said on stderr */
    size_t problem_size;
} parse_t;

static bool refuse (const parse_t *parse, const char *format, ...) __attribute__ ((format (printf, 2, 3)));

static bool refuse (const parse_t *parse, const char *format, ...)
{
    char text[1024];
    va_list args;
    va_start (args, format);
    vsnprintf (text, sizeof text, format, args);
    va_end (args);
    char line[sizeof parse->where + sizeof text + 2];
    snprintf (line, sizeof line, "%s%s%s", parse->where, parse->where[0] ? ": " : "", text);
    for (char *at = line; *at; at++)
        if (iscntrl ((unsigned char)*at)) /* a value must not steer the terminal, nor make a second line */
            *at = '?';
    if (parse->problem)
        snprintf (parse->problem, parse->problem_size, "%s", line);
    else
        fprintf (stderr, "%s: %s\n", parse->table->program, line);
    return false;
}

/* ---- values ---- */

const char *options_type_words (option_type_t type)
{
    switch (type) {
    case OPT_INT:
        return "a whole number";
    case OPT_BYTES:
        return "a size such as 64K, 10M or 1G";
    case OPT_DURATION:
        return "a time such as 500ms, 30s, 5m or 2h";
    case OPT_FLAG:
        return "true or false";
    case OPT_TEXT:
    case OPT_CHOICE:
    case OPT_LINES:
        break;
    }
    return "text";
}

typedef struct {
    const char *suffix;
    int64_t factor;
} unit_t;

static const unit_t byte_units[] = { { "", 1 },          { "K", 1LL << 10 }, { "M", 1LL << 20 },
                                     { "G", 1LL << 30 }, { "T", 1LL << 40 }, { NULL, 0 } };
static const unit_t time_units[] = { { "ms", 1 },      { "s", 1000 },     { "", 1000 }, { "m", 60000 },
                                     { "h", 3600000 }, { "d", 86400000 }, { NULL, 0 } };
static const unit_t plain_units[] = { { "", 1 }, { NULL, 0 } };

static bool read_number (const char *text, const unit_t *units, int64_t *out)
{
    char *end = NULL;
    errno = 0;
    long long number = strtoll (text, &end, 10);
    if (end == text || errno || isspace ((unsigned char)text[0]))
        return false;
    for (; units->suffix; units++)
        if (strcmp (end, units->suffix) == 0)
            return !__builtin_mul_overflow ((int64_t)number, units->factor, out);
    return false;
}

void options_format_number (const option_t *row, int64_t number, char *out, size_t size)
{
    const unit_t *units = row->type == OPT_BYTES ? byte_units : row->type == OPT_DURATION ? time_units : plain_units;
    const unit_t *best = NULL;
    for (; units->suffix; units++)
        if ((units->suffix[0] || row->type != OPT_DURATION) && (!best || units->factor > best->factor) &&
            number % units->factor == 0 && number >= units->factor)
            best = units;
    if (best)
        snprintf (out, size, "%lld%s", (long long)(number / best->factor), best->suffix);
    else
        snprintf (out, size, "%lld%s", (long long)number, number && row->type == OPT_DURATION ? "ms" : "");
}

static bool set_number (const parse_t *parse, const option_t *row, const char *text)
{
    const unit_t *units = row->type == OPT_BYTES ? byte_units : row->type == OPT_DURATION ? time_units : plain_units;
    int64_t number = 0;
    if (!read_number (text, units, &number))
        return refuse (parse, "'%.100s' is not %s.", text, options_type_words (row->type));
    if ((row->min || row->max) && (number < row->min || number > row->max)) {
        char low[32];
        char high[32];
        options_format_number (row, row->min, low, sizeof low);
        options_format_number (row, row->max, high, sizeof high);
        return refuse (parse, "'%.100s' is out of range: %s to %s.", text, low, high);
    }
    memcpy (parse->options + row->at, &number, sizeof number);
    return true;
}

static bool set_flag (const parse_t *parse, const option_t *row, const char *text)
{
    static const char *const yes[] = { "true", "1", "yes", "on" };
    static const char *const no[] = { "false", "0", "no", "off" };
    for (size_t i = 0; i < sizeof yes / sizeof *yes; i++) {
        bool is_yes = strcmp (text, yes[i]) == 0;
        if (!is_yes && strcmp (text, no[i]) != 0)
            continue;
        memcpy (parse->options + row->at, &is_yes, sizeof is_yes);
        return true;
    }
    return refuse (parse, "'%.100s' is not true or false.", text);
}

static bool choice_known (const char *choices, const char *text)
{
    size_t len = strlen (text);
    for (const char *at = choices; at && *at;) {
        const char *end = strchrnul (at, '|');
        if ((size_t)(end - at) == len && memcmp (at, text, len) == 0)
            return true;
        at = *end ? end + 1 : end;
    }
    return false;
}

static void set_text (const parse_t *parse, const option_t *row, const char *text)
{
    char *old = NULL;
    memcpy (&old, parse->options + row->at, sizeof old);
    free (old);
    char *copy = text ? xstrdup (text) : NULL;
    memcpy (parse->options + row->at, &copy, sizeof copy);
}

static bool add_line (const parse_t *parse, const option_t *row, const char *text)
{
    const char *old = NULL;
    size_t at = (size_t)(row - parse->table->rows);
    if (at < 64 && parse->given & 1ULL << at)
        memcpy (&old, parse->options + row->at, sizeof old);
    if (strchr (text, '\n'))
        return refuse (parse, "a value is one line.");
    buf_t lines = { 0 };
    buf_printf (&lines, "%s%s\n", old ? old : "", text);
    set_text (parse, row, lines.ptr);
    buf_fini (&lines);
    return true;
}

static bool set_value (const parse_t *parse, const option_t *row, const char *text)
{
    switch (row->type) {
    case OPT_INT:
    case OPT_BYTES:
    case OPT_DURATION:
        return set_number (parse, row, text);
    case OPT_FLAG:
        return set_flag (parse, row, text);
    case OPT_CHOICE:
        if (!choice_known (row->choices, text))
            return refuse (parse, "'%.100s' is not one of %s.", text, row->choices);
        break;
    case OPT_LINES:
        return add_line (parse, row, text);
    case OPT_TEXT:
        break;
    }
    set_text (parse, row, text);
    return true;
}

/* ---- names ---- */

const option_t *options_find (const option_table_t *table, const char *name, size_t len)
{
    for (size_t i = 0; i < table->count; i++)
        if (strlen (table->rows[i].name) == len && memcmp (table->rows[i].name, name, len) == 0)
            return &table->rows[i];
    return NULL;
}

static bool refuse_name (const parse_t *parse, const char *prefix, const char *name, size_t len)
{
    static const char *const always[] = { "config", "help", "options-as", "version", &CHECK_CONFIG[2] };
    size_t own = parse->table->check ? 5 : 4; /* on the command line only */
    size_t count = parse->table->count + (*prefix ? own : 0);
    nearest_t nearest = nearest_begin (slice_from (name, len));
    for (size_t i = 0; i < count; i++)
        nearest_try (&nearest, i < parse->table->count ? parse->table->rows[i].name : always[i - parse->table->count]);
    int shown = len > 60 ? 60 : (int)len;
    if (nearest.known)
        return refuse (parse, "unknown option '%s%.*s'; did you mean '%s%s'?", prefix, shown, name, prefix,
                       nearest.known);
    return refuse (parse, "unknown option '%s%.*s'; see --help.", prefix, shown, name);
}

void options_env_name (const option_table_t *table, const char *option, char out[ENV_NAME_MAX])
{
    const char *program = table->program + strcspn (table->program, "- "); /* behind "gleaner" */
    program += *program != '\0';
    snprintf (out, ENV_NAME_MAX, "GLEANER_%s%s%s", program, *program ? "_" : "", option);
    for (char *at = out; *at; at++)
        *at = *at == '-' || *at == ' ' ? '_' : (char)toupper ((unsigned char)*at);
}

static const char *env_get (char **environ_p, const char *name)
{
    size_t len = strlen (name);
    for (; environ_p && *environ_p; environ_p++)
        if (strncmp (*environ_p, name, len) == 0 && (*environ_p)[len] == '=')
            return *environ_p + len + 1;
    return NULL;
}

/* ---- the four sources, the weakest first ---- */

static bool apply_defaults (parse_t *parse)
{
    snprintf (parse->where, sizeof parse->where, "default");
    for (size_t i = 0; i < parse->table->count; i++)
        if (parse->table->rows[i].fallback &&
            !set_value (parse, &parse->table->rows[i], parse->table->rows[i].fallback))
            return false;
    return true;
}

static char *trim (char *text)
{
    while (isspace ((unsigned char)*text))
        text++;
    for (char *end = text + strlen (text); end > text && isspace ((unsigned char)end[-1]);)
        *--end = '\0';
    return text;
}

static bool apply_config_line (const parse_t *parse, char *line)
{
    line = trim (line);
    if (!*line || *line == '#')
        return true;
    char *equals = strchr (line, '=');
    if (!equals)
        return refuse (parse, "a line is `name = value`.");
    *equals = '\0';
    const char *name = trim (line);
    const char *value = trim (equals + 1);
    const option_t *row = options_find (parse->table, name, strlen (name));
    size_t may = parse->table->config_rows;
    if (!row)
        return refuse_name (parse, "", name, strlen (name));
    if (may && row >= parse->table->rows + may)
        return refuse (parse, "'%s' has no place in a config file: give it on the command line.", name);
    return !*value || set_value (parse, row, value); /* an empty one is none, as with variables */
}

static bool read_config (const parse_t *parse, const char *path, buf_t *out)
{
    bool again = parse->problem != NULL; /* while the program serves: it must not wait for anybody who writes */
    int fd = open (path, O_RDONLY | O_CLOEXEC | (again ? O_NONBLOCK : 0));
    FILE *file = fd < 0 ? NULL : fdopen (fd, "r");
    if (!file)
        return refuse (parse, "cannot read config file '%.300s': %s.", path, strerror (errno));
    struct stat info;
    if (again && (fstat (fd, &info) != 0 || S_ISFIFO (info.st_mode))) {
        fclose (file);
        return refuse (parse, "'%.300s' is a pipe, which can be read once only, at the start.", path);
    }
    buf_reserve (out, CONFIG_BYTES_MAX + 1);
    out->len = fread (out->ptr, 1, CONFIG_BYTES_MAX + 1, file);
    out->ptr[out->len] = '\0';
    bool failed = ferror (file);
    fclose (file);
    if (failed)
        return refuse (parse, "cannot read config file '%.300s'.", path);
    if (out->len > CONFIG_BYTES_MAX || memchr (out->ptr, '\0', out->len))
        return refuse (parse, "'%.300s' is no config file: text of 1 MiB at most.", path);
    return true;
}

static bool apply_config (parse_t *parse, const char *path)
{
    buf_t text = { 0 };
    parse->where[0] = '\0';
    bool good = read_config (parse, path, &text);
    int number = 0;
    char *rest = text.ptr;
    for (char *line = good ? strsep (&rest, "\n") : NULL; line && good; line = strsep (&rest, "\n")) {
        snprintf (parse->where, sizeof parse->where, "%.400s:%d", path, ++number);
        good = apply_config_line (parse, line);
    }
    buf_fini (&text);
    return good;
}

/* The variable that sets an option, or would, is `name` then. NULL: none does. */
static const char *find_variable (const option_table_t *table, const option_t *row, char **environ_p,
                                  char name[ENV_NAME_MAX])
{
    options_env_name (table, row->name, name);
    const char *value = env_get (environ_p, name);
    if (!value && row->alias) {
        snprintf (name, ENV_NAME_MAX, "%s", row->alias);
        value = env_get (environ_p, name);
    }
    return value && *value ? value : NULL;
}

bool options_by_environment (const option_table_t *table, const char *option, char **environ_p)
{
    char name[ENV_NAME_MAX];
    const option_t *row = options_find (table, option, strlen (option));
    return row && find_variable (table, row, environ_p, name);
}

static bool apply_environment (parse_t *parse, char **environ_p)
{
    for (size_t i = 0; i < parse->table->count; i++) {
        const option_t *row = &parse->table->rows[i];
        char name[ENV_NAME_MAX];
        const char *value = find_variable (parse->table, row, environ_p, name);
        if (!value)
            continue;
        snprintf (parse->where, sizeof parse->where, "environment variable %s", name);
        if (!set_value (parse, row, value))
            return false;
    }
    return true;
}

static const option_t *find_letter (const option_table_t *table, char letter)
{
    for (size_t i = 0; i < table->count; i++)
        if (table->rows[i].letter == letter)
            return &table->rows[i];
    return NULL;
}

/* What the command line says of a row. */
static bool set_given (parse_t *parse, const option_t *row, const char *text)
{
    bool good = set_value (parse, row, text);
    size_t at = (size_t)(row - parse->table->rows);
    if (at < 64)
        parse->given |= 1ULL << at;
    return good;
}

/* The option that an argument names, and its value when that is in the same argument. NULL after a refusal. */
static const option_t *read_name (const parse_t *parse, const char *arg, const char **value)
{
    const option_t *row = arg[0] == '-' && arg[1] && !arg[2] ? find_letter (parse->table, arg[1]) : NULL;
    *value = NULL;
    if (row)
        return row;
    if (strcmp (arg, "--options-as") == 0) {
        refuse (parse, "--options-as stands alone: config, man, man-config or markdown.");
        return NULL;
    }
    if (strncmp (arg, "--", 2) != 0 || !arg[2]) {
        refuse (parse, "unexpected argument '%.100s'; see --help.", arg);
        return NULL;
    }
    const char *name = arg + 2;
    size_t len = strcspn (name, "=");
    *value = name[len] ? name + len + 1 : NULL;
    row = options_find (parse->table, name, len);
    if (!row)
        refuse_name (parse, "--", name, len);
    return row;
}

/* One argument, and its value when that stands in the next one. Returns how many arguments it took, 0 when refused. */
static int apply_argument (parse_t *parse, const char *arg, const char *next)
{
    const char *operand = parse->table->operand;
    parse->where[0] = '\0';
    if (operand && arg[0] != '-') {
        snprintf (parse->where, sizeof parse->where, "%s", operand);
        const option_t *row = options_find (parse->table, operand, strlen (operand));
        size_t at = (size_t)(row - parse->table->rows);
        if (row->type != OPT_LINES && at < 64 && parse->given & 1ULL << at) {
            refuse (parse, "'%.100s' is one too many; see --help.", arg);
            return 0;
        }
        return set_given (parse, row, arg) ? 1 : 0;
    }
    if (strncmp (arg, "--config=", 9) == 0 || strcmp (arg, "--config") == 0) /* read before, as the weaker source */
        return arg[8] ? 1 : 2;
    if (parse->table->check && strcmp (arg, CHECK_CONFIG) == 0)
        return 1;
    const char *value = NULL;
    const option_t *row = read_name (parse, arg, &value);
    if (!row)
        return 0;
    snprintf (parse->where, sizeof parse->where, "--%s", row->name);
    if (row->type == OPT_FLAG && !value)
        return set_given (parse, row, "true") ? 1 : 0;
    if (!value && !next) {
        refuse (parse, "a value is missing.");
        return 0;
    }
    if (!set_given (parse, row, value ? value : next))
        return 0;
    return value ? 1 : 2;
}

/* How many of the arguments are ours: those before `--`, where something may stand behind it. */
static int count_own (const option_table_t *table, int argc, char **argv)
{
    for (int i = 1; table->rest && i < argc; i++)
        if (strcmp (argv[i], "--") == 0)
            return i;
    return argc;
}

bool options_by_line (const option_table_t *table, const char *option, int argc, char **argv)
{
    char problem[256]; /* was told when it was parsed */
    const parse_t parse = { .table = table, .problem = problem, .problem_size = sizeof problem };
    int own = count_own (table, argc, argv);
    for (int i = 1; i < own; i++) {
        const char *value = NULL;
        const option_t *row =
            argv[i][0] == '-' && strcmp (argv[i], "--config") != 0 ? read_name (&parse, argv[i], &value) : NULL;
        if (row && strcmp (row->name, option) == 0)
            return true;
        /* What stands behind it is its value, whatever that looks like. */
        i += strcmp (argv[i], "--config") == 0 || (row && row->type != OPT_FLAG && !value);
    }
    return false;
}

/* The --config argument, or the environment's; NULL when there is none. False when its value is missing. */
static bool find_config (parse_t *parse, int argc, char **argv, char **environ_p, const char **path)
{
    char name[ENV_NAME_MAX];
    options_env_name (parse->table, "config", name);
    *path = env_get (environ_p, name);
    if (*path && !**path) /* as with every option, an empty variable is none */
        *path = NULL;
    bool given = false;
    for (int i = 1; i < argc; i++) {
        bool joined = strncmp (argv[i], "--config=", 9) == 0;
        if (!joined && strcmp (argv[i], "--config") != 0)
            continue;
        if (given)
            return refuse (parse, "--config is given twice: give one file.");
        if (!joined && (i + 1 >= argc || !argv[i + 1]))
            return refuse (parse, "--config: a value is missing.");
        *path = joined ? argv[i] + 9 : argv[++i];
        given = true;
    }
    return true;
}

static bool asks_for (int argc, char **argv, const char *flag)
{
    for (int i = 1; i < argc; i++)
        if (strcmp (argv[i], flag) == 0)
            return true;
    return false;
}

static bool check_all (parse_t *parse)
{
    char problem[1024];
    parse->where[0] = '\0';
    return !parse->table->check || parse->table->check (parse->options, problem, sizeof problem) ||
           refuse (parse, "%s", problem);
}

static bool apply_defaults_and_config (parse_t *parse, int argc, char **argv, char **environ_p)
{
    const char *config = NULL;
    if (!apply_defaults (parse))
        return false;
    parse->where[0] = '\0';
    if (!find_config (parse, argc, argv, environ_p, &config))
        return false;
    if (!config && parse->table->config && access (parse->table->config, F_OK) == 0)
        config = parse->table->config;
    return !config || apply_config (parse, config);
}

/* Returns OPTIONS_RUN or EXIT_USAGE; text values of the sources read so far are in `parse->options` either way. */
static int apply_sources (parse_t *parse, int argc, char **argv, char **environ_p)
{
    if (!apply_defaults_and_config (parse, argc, argv, environ_p))
        return EXIT_USAGE;
    if (!apply_environment (parse, environ_p))
        return EXIT_USAGE;
    for (int i = 1; i < argc;) {
        int used = apply_argument (parse, argv[i], i + 1 < argc ? argv[i + 1] : NULL);
        if (!used)
            return EXIT_USAGE;
        i += used;
    }
    return check_all (parse) ? OPTIONS_RUN : EXIT_USAGE;
}

int options_parse (const option_table_t *table, int argc, char **argv, char **environ_p, void *options)
{
    int own = count_own (table, argc, argv);
    if (table->rest && own < argc) {
        const options_rest_t rest = { argc - own - 1, argv + own + 1 };
        memcpy ((char *)options + table->rest_at, &rest, sizeof rest);
    }
    argc = own;
    if (asks_for (argc, argv, "--help") || asks_for (argc, argv, "-h")) {
        options_help (table, stdout);
        return 0;
    }
    if (asks_for (argc, argv, "--version")) {
        printf ("%s %s\n", table->program, GLEANER_VERSION);
        return 0;
    }
    if (argc == 3 && strcmp (argv[1], "--options-as") == 0 && options_reference (table, argv[2], stdout))
        return 0;
    parse_t parse = { .table = table, .options = options };
    int status = apply_sources (&parse, argc, argv, environ_p);
    if (status != OPTIONS_RUN)
        options_fini (table, options);
    else if (table->check && asks_for (argc, argv, CHECK_CONFIG))
        return OPTIONS_CHECK;
    return status;
}

bool options_read (const option_table_t *table, int argc, char **argv, char **environ_p, void *options, char *problem,
                   size_t problem_size)
{
    parse_t parse = { .table = table, .options = options, .problem = problem, .problem_size = problem_size };
    if (apply_sources (&parse, count_own (table, argc, argv), argv, environ_p) == OPTIONS_RUN)
        return true;
    options_fini (table, options);
    return false;
}

bool options_read_config (const option_table_t *table, int argc, char **argv, char **environ_p, void *options)
{
    char problem[256]; /* was told when it was parsed */
    parse_t parse = { .table = table, .options = options, .problem = problem, .problem_size = sizeof problem };
    if (apply_defaults_and_config (&parse, count_own (table, argc, argv), argv, environ_p))
        return true;
    options_fini (table, options);
    return false;
}

int options_fine (const option_table_t *table)
{
    printf ("%s: the configuration can be used.\n", table->program);
    return 0;
}

void options_fini (const option_table_t *table, void *options)
{
    parse_t parse = { .table = table, .options = options };
    for (size_t i = 0; i < table->count; i++)
        if (table->rows[i].type == OPT_TEXT || table->rows[i].type == OPT_CHOICE || table->rows[i].type == OPT_LINES)
            set_text (&parse, &table->rows[i], NULL);
}
