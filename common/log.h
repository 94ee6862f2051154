/* SPDX-License-Identifier: Apache-2.0 */
/* Messages for people, on standard error: "archway: warning: text". Only main and the
 * loops log; libraries return errors. The level is the only global of the project. */
#ifndef ARCHWAY_COMMON_LOG_H
#define ARCHWAY_COMMON_LOG_H

enum log_level { LOG_ERROR, LOG_WARNING, LOG_INFO, LOG_DEBUG };

void log_set_level(enum log_level level); /* default LOG_INFO */
void log_message(enum log_level level, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#endif
