import tseslint from 'typescript-eslint';

/** Timers and signals that no fake clock can move: use the injected Clock and kernel/abort. */
const noHiddenTime = {
  'no-restricted-imports': [
    'error',
    {
      paths: [
        { name: 'node:timers/promises', message: 'Take a Clock and use sleep() of kernel/clock.ts.' },
        { name: 'p-retry', message: 'kernel/retry.ts is the only user of p-retry.' },
        { name: 'execa', message: 'process/ is the only room that spawns.' },
        { name: 'node:child_process', message: 'process/ is the only room that spawns.' },
      ],
    },
  ],
  'no-restricted-syntax': [
    'error',
    {
      selector: "MemberExpression[object.name='AbortSignal'][property.name=/^(timeout|any)$/]",
      message: 'Use kernel/abort.ts.',
    },
  ],
};

export default tseslint.config(
  { ignores: ['dist/', 'node_modules/', '.k3s-lite/', '.cache/', 'coverage/', 'components/'] },
  ...tseslint.configs.strictTypeChecked,
  {
    languageOptions: {
      parserOptions: {
        projectService: {
          allowDefaultProject: [
            '*.mjs',
            'scripts/*.mjs',
            'bench/*.mjs',
            'bin/*.js',
            'bin/*.cjs',
            'test/*/*.mjs',
            'test/*/*/*.mjs',
          ],
        },
      },
    },
    rules: {
      '@typescript-eslint/no-floating-promises': 'error',
      '@typescript-eslint/switch-exhaustiveness-check': ['error', { considerDefaultExhaustiveForUnions: true }],
      '@typescript-eslint/restrict-template-expressions': ['error', { allowNumber: true }],
      '@typescript-eslint/no-unused-vars': [
        'error',
        { varsIgnorePattern: '^_', argsIgnorePattern: '^_', caughtErrorsIgnorePattern: '^_' },
      ],
      // Ports are objects of closures; none of them uses `this`.
      '@typescript-eslint/unbound-method': 'off',
      '@typescript-eslint/no-confusing-void-expression': [
        'error',
        { ignoreArrowShorthand: true, ignoreVoidReturningFunctions: true },
      ],
    },
  },
  { files: ['src/**/*.ts'], rules: noHiddenTime },
  { files: ['src/kernel/retry.ts', 'src/process/**/*.ts'], rules: { 'no-restricted-imports': 'off' } },
  { files: ['src/report/terminal/**', 'src/cli/**'], rules: { 'no-console': 'error' } },
  { files: ['**/*.mjs', 'bin/*.js'], ...tseslint.configs.disableTypeChecked },
  { files: ['bin/*.js'], rules: { '@typescript-eslint/no-require-imports': 'off' } },
);
