/* token.h - `gleaner-broker token create|list|revoke`: works on the data directory, while a broker uses it or not. */
#ifndef GLEANER_TOKEN_H
#define GLEANER_TOKEN_H

/* argv[0] is "token". Returns the status to exit with: 0, or 2 after one sentence on stderr. */
int token_command (int argc, char **argv);

#endif
