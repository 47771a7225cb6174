/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "procfs/setting.h"

#include <glib.h>
#include <limits.h>
#include <stdlib.h>

int setting_read(const char *path)
{
	g_autofree char *text = NULL;
	g_autoptr(GError) error = NULL;

	if (g_file_get_contents(path, &text, NULL, &error))
		return atoi(text);
	return g_error_matches(error, G_FILE_ERROR, G_FILE_ERROR_NOENT) ? 0 : INT_MAX;
}
