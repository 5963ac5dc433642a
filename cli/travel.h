/* travel.h - what of a project travels: what the server has not. */
#ifndef GLEANER_CLI_TRAVEL_H
#define GLEANER_CLI_TRAVEL_H

#include "cli/upload.h"

/* Sends the form with the project of its options: as a delta where the server has an earlier state of the folder and
 * its workers take one; without a file where it has just this ZIP; else as a whole. As upload_form. */
int travel (client_t *client, form_t *form, json_t **job_p);

#endif
