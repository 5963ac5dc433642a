/* top.c - the command, and the terminal: its own screen while it lasts, and as it was when it ends, however that is. */
#include "cli/top.h"

#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <termios.h>
#include <unistd.h>

#include "cli/commands.h"
#include "cli/print.h"
#include "proto/clock.h"

typedef struct {
    common_t common;
    int64_t interval_ms;
    bool once;
} options_t;

static const option_t rows[] = {
    CLI_COMMON_ROWS,
    { .name = "interval",
      .type = OPT_DURATION,
      .at = offsetof (options_t, interval_ms),
      .fallback = "1s",
      .min = 100,
      .max = 3600 * 1000,
      .value = "TIME",
      .help = "how often to look again" },
    { .name = "once",
      .type = OPT_FLAG,
      .at = offsetof (options_t, once),
      .help = "print one sight and end; so does --json, and a pipe or file in place of a terminal" },
};

const option_table_t top_table = { .program = "gleaner top",
                                   .summary = "queue, running jobs and workers, live; q ends it",
                                   .rows = rows,
                                   .count = sizeof rows / sizeof *rows };

typedef struct {
    const options_t *options;
    client_t *client;
    int signals;
    bool keys; /* there is a keyboard */
    bool colours;
    struct termios before;
    json_t *sight;
    char *away;      /* why the server does not answer, or NULL */
    int64_t look_at; /* ms of the clock */
    int status;      /* OPTIONS_RUN: go on */
} top_t;

/* ---- the terminal ---- */

/* A screen of its own, no cursor, no line that goes on in the next one. */
static void terminal_take (top_t *self)
{
    if (self->keys) {
        struct termios raw = self->before;
        raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
        raw.c_cc[VMIN] = 1;
        raw.c_cc[VTIME] = 0;
        tcsetattr (STDIN_FILENO, TCSADRAIN, &raw);
    }
    fputs ("\033[?1049h\033[?25l\033[?7l\033[2J", stdout);
    fflush (stdout);
}

static void terminal_give_back (const top_t *self)
{
    fputs ("\033[?7h\033[?25h\033[?1049l", stdout);
    fflush (stdout);
    if (self->keys)
        tcsetattr (STDIN_FILENO, TCSADRAIN, &self->before);
}

static void window (int *columns, int *lines)
{
    struct winsize size = { 0 };
    bool known = ioctl (STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col && size.ws_row;
    *columns = known ? size.ws_col : 80;
    *lines = known ? size.ws_row : 24;
}

/* A line, no wider than the screen. */
static void draw_line (const top_t *self, const char *line, size_t len, int columns)
{
    const char *look = len && *line == TOP_BOLD ? "\033[1m" : len && *line == TOP_LOUD ? "\033[1;31m" : "";
    size_t at = *look != '\0';
    size_t begin = at;
    for (int seen = 0; at < len; at++) {
        seen += ((unsigned char)line[at] & 0xc0) != 0x80;
        if (seen > columns)
            break;
    }
    printf ("%s%.*s%s\033[K", self->colours ? look : "", (int)(at - begin), line + begin,
            self->colours && *look ? "\033[0m" : "");
}

static void draw (const top_t *self)
{
    char *text = NULL;
    size_t size = 0;
    int columns;
    int lines;
    window (&columns, &lines);
    FILE *out = open_memstream (&text, &size);
    top_print (self->sight, self->options->common.server, self->away, lines, out);
    fclose (out);
    fputs ("\033[H", stdout);
    const char *rest = text;
    for (int i = 0; i < lines && *rest; i++) {
        size_t len = strcspn (rest, "\n");
        fputs (i ? "\r\n" : "", stdout);
        draw_line (self, rest, len, columns);
        rest += len + (rest[len] == '\n');
    }
    fputs ("\033[J", stdout);
    fflush (stdout);
    free (text);
}

/* ---- what comes ---- */

static void on_key (top_t *self)
{
    char key = 0;
    ssize_t got = read (STDIN_FILENO, &key, 1);
    if (got == 0)
        self->keys = false;
    else if (got == 1 && (key == 'q' || key == 'Q'))
        self->status = STATUS_GOOD;
    else if (got == 1)
        self->look_at = 0;
}

static void on_signal (top_t *self)
{
    struct signalfd_siginfo info;
    if (read (self->signals, &info, sizeof info) != sizeof info)
        return;
    int number = (int)info.ssi_signo;
    if (number == SIGTSTP) {
        terminal_give_back (self);
        raise (SIGSTOP);
        terminal_take (self);
    } else if (number != SIGWINCH) {
        self->status = number == SIGINT ? STATUS_CUT : 128 + number;
        return;
    }
    draw (self);
}

/* Until there is a key or a signal, or it is time to look again; 0 ms: whether there is one already. */
static bool await (top_t *self, int ms, struct pollfd fds[2])
{
    fds[0] = (struct pollfd){ .fd = self->signals, .events = POLLIN };
    fds[1] = (struct pollfd){ .fd = self->keys ? STDIN_FILENO : -1, .events = POLLIN };
    return poll (fds, 2, ms) > 0;
}

/* While the server hangs, keys and signals are heard. */
static bool is_called (void *ctx)
{
    struct pollfd fds[2];
    return await (ctx, 0, fds);
}

static void look (top_t *self)
{
    answer_t fault;
    int columns;
    int lines;
    struct pollfd fds[2];
    window (&columns, &lines);
    client_watch (self->client, is_called, self);
    top_look (self->client, lines, &self->sight, &fault);
    client_watch (self->client, NULL, NULL);
    self->look_at = clock_mono_ms () + self->options->interval_ms;
    if (fault.fault && await (self, 0, fds)) {
        answer_fini (&fault); /* that is why there was no answer */
        return;
    }
    bool away = fault.fault && (answer_status (&fault) == STATUS_AWAY || fault.status == 429);
    free (self->away);
    self->away = away ? fault.fault : NULL;
    if (away) {
        fault.fault = NULL;
    } else if (fault.fault) {
        terminal_give_back (self);
        client_need (&fault, &self->status);
    }
    answer_fini (&fault);
    if (self->status == OPTIONS_RUN)
        draw (self);
}

static void turn (top_t *self)
{
    struct pollfd fds[2];
    int64_t left = self->look_at - clock_mono_ms ();
    if (left <= 0 && !await (self, 0, fds)) {
        look (self);
        return;
    }
    await (self, left > 0 ? (int)left : 0, fds);
    if (fds[0].revents)
        on_signal (self);
    else if (fds[1].revents)
        on_key (self);
}

/* The first sight is there; the terminal is given back at the end, whatever ends it. */
static void run_live (top_t *self)
{
    static const int numbers[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP, SIGWINCH };
    sigset_t set;
    sigset_t before;
    sigemptyset (&set);
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        sigaddset (&set, numbers[i]);
    sigprocmask (SIG_BLOCK, &set, &before);
    self->signals = signalfd (-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    self->keys = tcgetattr (STDIN_FILENO, &self->before) == 0;
    const char *plain = getenv ("NO_COLOR");
    self->colours = !plain || !*plain;
    terminal_take (self);
    draw (self);
    while (self->status == OPTIONS_RUN)
        turn (self);
    if (self->status == STATUS_GOOD || self->status >= 128)
        terminal_give_back (self);
    close (self->signals);
    sigprocmask (SIG_SETMASK, &before, NULL);
}

/* A terminal that can be written anywhere. */
static bool is_screen (void)
{
    const char *term = getenv ("TERM");
    return isatty (STDOUT_FILENO) && term && *term && strcmp (term, "dumb") != 0;
}

static void print_once (const top_t *self)
{
    char *text = NULL;
    size_t size = 0;
    if (self->options->common.json) {
        print_json (self->sight);
        return;
    }
    FILE *out = open_memstream (&text, &size);
    top_print (self->sight, self->options->common.server, NULL, 0, out);
    fclose (out);
    for (const char *at = text; *at; at++)
        if (*at != TOP_BOLD)
            putchar (*at);
    free (text);
}

static int run (top_t *self)
{
    answer_t fault;
    int status = STATUS_GOOD;
    self->look_at = clock_mono_ms () + self->options->interval_ms;
    top_look (self->client, TOP_TAILS_MAX, &self->sight, &fault);
    if (fault.fault)
        client_need (&fault, &status);
    else if (self->options->once || self->options->common.json || !is_screen ())
        print_once (self);
    else
        run_live (self);
    answer_fini (&fault);
    return self->status == OPTIONS_RUN ? status : self->status;
}

int top_command (int argc, char **argv)
{
    options_t options = { 0 };
    int status = cli_parse (&top_table, argc, argv, &options.common);
    if (status != OPTIONS_RUN)
        return status;
    top_t self = { .options = &options, .client = client_new (&options.common), .status = OPTIONS_RUN };
    status = run (&self);
    json_decref (self.sight);
    free (self.away);
    client_destroy (&self.client);
    cli_fini (&top_table, &options.common);
    return status;
}
