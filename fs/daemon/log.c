/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/log.h"

#include <fuse_log.h>
#include <glib.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <syslog.h>

static struct {
	GMutex lock;
	char *kept; /* libfuse's first message since the start, to its newline */
	bool ready, background, debug;
} state;

static void emit(int level, const char *text)
{
	if (state.background)
		syslog(level, "%s", text);
	else
		fprintf(stderr, "shmtree: %s\n", text);
}

/* Keeps the first message. libfuse may print it in several pieces; the last has the newline. */
static void keep(const char *piece)
{
	char *longer;

	if (state.kept && strchr(state.kept, '\n'))
		return;
	longer = g_strconcat(state.kept ? state.kept : "", piece, NULL);
	g_free(state.kept);
	state.kept = longer;
}

/* Takes off the newline at the end, and "fuse: " at the beginning, that libfuse's messages have. */
static void tidy(char *text)
{
	g_strchomp(text);
	if (g_str_has_prefix(text, "fuse: "))
		memmove(text, text + 6, strlen(text + 6) + 1);
}

static void from_libfuse(enum fuse_log_level level, const char *format, va_list ap)
{
	g_autofree char *text = g_strdup_vprintf(format, ap);

	g_mutex_lock(&state.lock);
	if (!state.ready && level <= FUSE_LOG_ERR) {
		keep(text);
	} else if (state.debug) {
		fputs(text, stderr);
	} else if (level <= FUSE_LOG_ERR) {
		tidy(text);
		emit(LOG_ERR, text);
	}
	g_mutex_unlock(&state.lock);
}

void log_init(void)
{
	fuse_set_log_func(from_libfuse);
}

void log_ready(bool background, bool debug)
{
	g_mutex_lock(&state.lock);
	state.ready = true;
	state.background = background;
	state.debug = debug;
	g_clear_pointer(&state.kept, g_free);
	if (background)
		openlog("shmtree", LOG_PID, LOG_DAEMON);
	g_mutex_unlock(&state.lock);
}

void log_line(const char *format, ...)
{
	g_autofree char *text = NULL;
	va_list ap;

	va_start(ap, format);
	text = g_strdup_vprintf(format, ap);
	va_end(ap);
	g_mutex_lock(&state.lock);
	emit(LOG_WARNING, text);
	g_mutex_unlock(&state.lock);
}

void log_failure(const char *cause, const char *remedy)
{
	g_autofree char *text = NULL;

	g_mutex_lock(&state.lock);
	if (state.kept)
		tidy(state.kept);
	text = g_strdup_printf("%s; %s", state.kept ? state.kept : cause, remedy);
	emit(LOG_ERR, text);
	g_clear_pointer(&state.kept, g_free);
	g_mutex_unlock(&state.lock);
}
