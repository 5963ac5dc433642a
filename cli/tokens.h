/* tokens.h - whose token goes with a call, and the tokens that `gleaner token save` keeps: one a server.
 *
 * A server is a scheme, a host, a port and the path before the API's: behind one proxy may be several, of several
 * people. What a call names itself (--token-file, GLEANER_TOKEN, GLEANER_TOKEN_FILE) goes with it, wherever that is.
 * The config file's `token-file` goes to the config file's `server` alone, and a saved one to the server it was saved
 * for.
 */
#ifndef GLEANER_CLI_TOKENS_H
#define GLEANER_CLI_TOKENS_H

#include "cli/cli.h"

/* Whether two good addresses (client_server_good) lead to one server. */
bool tokens_same_server (const char *a, const char *b);

/* Fills token, token_from and elsewhere of `options`, which this call has been parsed into. 0, or STATUS_LOCAL after
 * one sentence: a file that is of no use. cli_fini frees what it makes. */
int tokens_choose (const option_table_t *table, int argc, char **argv, common_t *options);

/* Where the token of `options` comes from, in words; "" without one. */
void tokens_source (const common_t *options, char *out, size_t size);

/* Keeps a token for a server beside the config file at `config`, which names the server from then on and no token; what
 * it has named is kept, too, for the server it was for. Whole or not at all. 0, or STATUS_LOCAL after one sentence. */
int tokens_keep (const char *config, const common_t *options);

/* Forgets the one that is kept for options->server. 0, STATUS_LOCAL, or STATUS_NOT_FOUND, after one sentence. */
int tokens_forget (const char *config, const common_t *options);

#endif
