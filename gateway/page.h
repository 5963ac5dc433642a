/* page.h - the files of the web page. */
#ifndef GATEWAY_PAGE_H
#define GATEWAY_PAGE_H

/* Says in the log when the folder holds no page, and how to build one. */
void page_check (const char *dir);

#endif
