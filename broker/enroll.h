/* enroll.h - `gleaner-broker enroll`: makes a join code and prints it. */
#ifndef GLEANER_ENROLL_H
#define GLEANER_ENROLL_H

/* Returns the exit status; argv[0] is "enroll". */
int enroll_command (int argc, char **argv);

#endif
