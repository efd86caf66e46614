dnl SPDX-License-Identifier: GPL-2.0-or-later

dnl REMUS_TRY_CFLAG(FLAG, VARIABLE)
dnl Append FLAG to VARIABLE if the compiler takes it without a word.  -Werror
dnl because clang only warns of flags that it does not know.
AC_DEFUN([REMUS_TRY_CFLAG], [
	AS_VAR_PUSHDEF([cache], [remus_cv_cflag_$1])
	AC_CACHE_CHECK([whether $CC accepts $1], [cache], [
		remus_save_CFLAGS=$CFLAGS
		CFLAGS="$CFLAGS -Werror $1"
		AC_COMPILE_IFELSE([AC_LANG_PROGRAM([], [])],
			[AS_VAR_SET([cache], [yes])],
			[AS_VAR_SET([cache], [no])])
		CFLAGS=$remus_save_CFLAGS
	])
	AS_VAR_IF([cache], [yes], [$2="$$2 $1"])
	AS_VAR_POPDEF([cache])
])

dnl REMUS_TRY_LDFLAG(FLAG, VARIABLE)
dnl The same for the linker.
AC_DEFUN([REMUS_TRY_LDFLAG], [
	AS_VAR_PUSHDEF([cache], [remus_cv_ldflag_$1])
	AC_CACHE_CHECK([whether $CC links with $1], [cache], [
		remus_save_LDFLAGS=$LDFLAGS
		LDFLAGS="$LDFLAGS -Werror $1"
		AC_LINK_IFELSE([AC_LANG_PROGRAM([], [])],
			[AS_VAR_SET([cache], [yes])],
			[AS_VAR_SET([cache], [no])])
		LDFLAGS=$remus_save_LDFLAGS
	])
	AS_VAR_IF([cache], [yes], [$2="$$2 $1"])
	AS_VAR_POPDEF([cache])
])

dnl REMUS_OPTION_PKG(OPTION, VARIABLE, MODULES, HELP)
dnl An optional part, --with-OPTION=yes|no|check.  Sets with_OPTION to yes or
dnl no, VARIABLE_CFLAGS and VARIABLE_LIBS, defines HAVE_VARIABLE, and makes the
dnl automake conditional HAVE_VARIABLE.  An unmet `yes` is an error: a package
dnl must not come out silently smaller than it was asked to be.
AC_DEFUN([REMUS_OPTION_PKG], [
	AC_ARG_WITH([$1],
		[AS_HELP_STRING([--with-$1=yes|no|check], [$4 (default: check)])],
		[], [with_$1=check])
	AS_CASE([$with_$1],
		[yes], [PKG_CHECK_MODULES([$2], [$3])],
		[check], [PKG_CHECK_MODULES([$2], [$3],
			[with_$1=yes], [with_$1=no])],
		[no], [],
		[AC_MSG_ERROR([--with-$1 takes yes, no or check, not "$with_$1"])])
	AS_IF([test "x$with_$1" = xyes],
		[AC_DEFINE([HAVE_$2], [1], [Define to 1 if $3 is to be used.])])
	AM_CONDITIONAL([HAVE_$2], [test "x$with_$1" = xyes])
])
