/* SPDX-License-Identifier: GPL-2.0-or-later */
/* shmtop: who fills the shared memory, in a terminal. Reads nothing but the files of a mount. */
#include "top/ui.h"

#include <curses.h>
#include <errno.h>
#include <locale.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define MIN_SECONDS 0.25
#define MAX_SECONDS 64

static volatile sig_atomic_t told_to_end;
static int wakes = -1; /* the handler's copy of that of the ui */

static void note_signal(int number)
{
	const uint64_t one = 1;
	int saved = errno;
	ssize_t n;

	told_to_end = number;
	n = write(wakes, &one, sizeof one); /* poll(2) may have begun, or be about to */
	(void)n;
	errno = saved;
}

static void catch_signals(void)
{
	static const int numbers[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT };
	const struct sigaction action = { .sa_handler = note_signal };

	for (size_t i = 0; i < G_N_ELEMENTS(numbers); i++)
		sigaction(numbers[i], &action, NULL);
}

static int fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

static int fail(const char *format, ...)
{
	va_list arguments;

	fputs("shmtop: ", stderr);
	va_start(arguments, format);
	vfprintf(stderr, format, arguments);
	va_end(arguments);
	fputc('\n', stderr);
	return EXIT_FAILURE;
}

static void print_help(void)
{
	puts("usage: shmtop [options] [MOUNTPOINT]\n"
	     "\n"
	     "Shows segments, processes and units that use shared memory, and what grows, of the "
	     "shmtree\n"
	     "that is mounted there; else of the first one in the list of mounts that you may "
	     "read.\n"
	     "\n"
	     "    -d SECONDS      look so often (2)\n"
	     "    -h   --help     print help\n"
	     "    -V   --version  print version\n"
	     "\n"
	     "In it, h shows the keys.");
}

/* Waits for a key or an answer of the mount, until the next look at most. False: the terminal is gone. */
static bool wait_for_something(const struct ui *ui, int64_t until)
{
	int64_t left = (until - g_get_monotonic_time()) / 1000 + 1;
	struct pollfd fds[] = { { STDIN_FILENO, POLLIN, 0 }, { ui->wakes, POLLIN, 0 } };

	poll(fds, G_N_ELEMENTS(fds), (int)CLAMP(left, 0, ui->interval_ms));
	return !(fds[0].revents & (POLLERR | POLLHUP | POLLNVAL));
}

/* 0, or a negative errno where the mount is gone. */
static int serve(struct ui *ui)
{
	int64_t next = 0;
	int key, r = 0;

	/* Also those that are not shown yet: what they show as grown is to begin now. */
	ui_refresh_all(ui);
	while (r == 0 && !ui->ended && !told_to_end) {
		if (g_get_monotonic_time() >= next) {
			if (!ui->paused)
				ui_refresh(ui);
			next = g_get_monotonic_time() + (int64_t)ui->interval_ms * 1000;
		}
		ui_draw(ui);
		if (!wait_for_something(ui, next))
			break;
		while ((key = getch()) != ERR)
			ui_key(ui, key);
		r = ui_take(ui);
	}
	return r;
}

static int show(const char *mount, int interval_ms)
{
	static struct ui ui; /* threads that still wait use it until the program ends */
	int r;

	ui_init(&ui, mount, interval_ms);
	wakes = ui.wakes;
	catch_signals();
	if (!newterm(NULL, stdout, stdin))
		return fail("the terminal %s is not known; set TERM",
			g_getenv("TERM") ? g_getenv("TERM") : "");
	cbreak();
	noecho();
	nodelay(stdscr, TRUE);
	keypad(stdscr, TRUE);
	set_escdelay(50);
	curs_set(0);
	r = serve(&ui);
	endwin();
	if (r < 0)
		return fail("%s: no shmtree is mounted here any more (%s)", mount, g_strerror(-r));
	return EXIT_SUCCESS;
}

static int run(const char *given, int interval_ms)
{
	bool unreadable = false;
	g_autofree char *mount =
		given ? g_canonicalize_filename(given, NULL) : look_find_mount(&unreadable);

	if (!mount && unreadable)
		return fail("you may read no shmtree that is mounted here");
	if (!mount)
		return fail("no shmtree is mounted; mount one, or ask shmtree --list");
	if (!look_is_shmtree(mount))
		return fail("%s is no shmtree", mount);
	if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO))
		return fail("this is no terminal; for scripts there is shmtree --list");
	/* Kept to the end, for threads that still wait. */
	return show(g_steal_pointer(&mount), interval_ms);
}

int main(int argc, char **argv)
{
	double seconds = 2;
	gboolean version = FALSE, help = FALSE;
	char **paths = NULL;
	const GOptionEntry entries[] = {
		{ "delay", 'd', 0, G_OPTION_ARG_DOUBLE, &seconds, NULL, NULL },
		{ "help", 'h', 0, G_OPTION_ARG_NONE, &help, NULL, NULL },
		{ "version", 'V', 0, G_OPTION_ARG_NONE, &version, NULL, NULL },
		{ G_OPTION_REMAINING, 0, 0, G_OPTION_ARG_FILENAME_ARRAY, &paths, NULL, NULL },
		{ 0 },
	};
	g_autoptr(GOptionContext) context = g_option_context_new(NULL);
	g_autoptr(GError) error = NULL;
	int status = EXIT_SUCCESS;

	setlocale(LC_CTYPE, "");
	g_option_context_set_help_enabled(context, FALSE);
	g_option_context_add_main_entries(context, entries, NULL);
	if (!g_option_context_parse(context, &argc, &argv, &error))
		status = fail("%s; see shmtop --help", error->message);
	else if (help)
		print_help();
	else if (version)
		puts("shmtop " SHMTREE_VERSION);
	else if (paths && paths[0] && paths[1])
		status = fail("too many arguments; see shmtop --help");
	else if (!(seconds >= MIN_SECONDS && seconds <= MAX_SECONDS))
		status = fail("-d takes a number of seconds from %g to %d", MIN_SECONDS,
			MAX_SECONDS);
	else
		status = run(paths ? paths[0] : NULL, (int)(seconds * 1000));
	g_strfreev(paths);
	return status;
}
